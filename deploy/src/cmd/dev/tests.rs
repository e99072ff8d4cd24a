use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use skerry_proto::id::{EnvironmentName, ServiceName};

use super::contents::{Content, find, read};
use super::scope::{Scope, real};
use super::vars;
use crate::bundle::{Built, Bundle, BundleError};
use crate::context::{Context, Global};
use crate::project::{BuildCommand, File, Plan};
use crate::release::{Extras, Release};

const PROJECT: &str = "name = \"shop\"\nmain = \"worker/index.ts\"\n";

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(&dir.path().join(path), text);
    }
    dir
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A release of the project in this folder, into which nothing went.
fn release(dir: &Path) -> Release {
    let service = ServiceName::new("shop").unwrap();
    let plan = Plan::of(&File::default(), Some(&service), &EnvironmentName::production()).unwrap();
    let bundle = Bundle { main: "index.js".to_owned(), modules: Vec::new() };
    let built = Built { bundle, warnings: Vec::new(), sources: BTreeSet::new() };
    Release { plan, built, extras: Extras::default(), dir: dir.to_owned(), file: None, account_id: None }
}

fn context(config: Option<PathBuf>) -> Context {
    Context::new(Global {
        api: None,
        token: None,
        token_file: None,
        ca: None,
        account: None,
        timeout: None,
        env: None,
        service: None,
        config,
        json: false,
        yes: false,
    })
}

/// What counts after a build of the project in `dir` failed with `error`.
fn after_failure(dir: &Path, data_dir: Option<&Path>, error: &anyhow::Error) -> Scope {
    Scope::new(data_dir).of_failure(&context(Some(dir.join("wrangler.toml"))), None, error)
}

#[track_caller]
fn count(scope: &Scope, root: &Path, names: &[&str]) {
    for name in names {
        assert!(scope.counts(&root.join(name)), "{name} does not count");
    }
}

#[track_caller]
fn do_not_count(scope: &Scope, root: &Path, names: &[&str]) {
    for name in names {
        assert!(!scope.counts(&root.join(name)), "{name} counts");
    }
}

#[test]
fn after_a_good_build_what_went_in_counts() {
    let dir = folder(&[("wrangler.toml", ""), ("index.js", ""), ("other.js", "")]);
    let root = real(dir.path());
    let mut release = release(dir.path());
    release.file = Some(dir.path().join("wrangler.toml"));
    release.built.sources.insert(dir.path().join("index.js"));
    let scope = Scope::new(None).of_release(&release, Some("mine"));
    count(&scope, &root, &["wrangler.toml", "index.js", ".dev.vars", ".dev.vars.mine"]);
    do_not_count(&scope, &root, &["other.js", "src/new.js", ".dev.vars.other"]);
    assert!(!scope.has_command);
}

#[test]
fn beside_a_build_command_what_it_reads_counts_and_what_went_in() {
    let dir = folder(&[("index.js", "")]);
    let root = real(dir.path());
    let mut release = release(dir.path());
    release.built.sources.insert(dir.path().join("index.js"));
    for (watch_dirs, counted, not_counted) in [
        (vec![], "src/new.ts", "worker/new.ts"),
        (vec!["worker".to_owned(), "lib".to_owned()], "worker/new.ts", "src/new.ts"),
        (vec![".".to_owned()], "anywhere/new.ts", "node_modules/new.ts"),
    ] {
        release.plan.build.command = Some(BuildCommand { command: "make".to_owned(), cwd: None, watch_dirs });
        let scope = Scope::new(None).of_release(&release, None);
        count(&scope, &root, &["index.js", counted]);
        do_not_count(&scope, &root, &[not_counted]);
        assert!(scope.has_command);
    }
}

#[test]
fn after_a_failed_build_the_whole_project_counts_save_what_nobody_edits() {
    let dir = folder(&[("wrangler.toml", PROJECT), ("data/catalog", "")]);
    let root = real(dir.path());
    let scope = after_failure(dir.path(), Some(&dir.path().join("data")), &anyhow::anyhow!("no"));
    let counted =
        ["wrangler.toml", ".dev.vars", "worker/index.ts", "new.ts", "a/b/c.html", "node_modules/.package-lock.json"];
    count(&scope, &root, &counted);
    let others = ["node_modules/a/index.js", "a/node_modules/b.js", ".git/index", "a/.cache/b", ".a.ts.swp", "dev.log"];
    do_not_count(&scope, &root, &others);
    do_not_count(&scope, &root, &["data", "data/catalog"]);
}

#[test]
fn a_data_directory_that_holds_the_project_leaves_nothing_out() {
    let dir = folder(&[("wrangler.toml", PROJECT)]);
    for data_dir in [dir.path(), dir.path().parent().unwrap()] {
        let scope = after_failure(dir.path(), Some(data_dir), &anyhow::anyhow!("no"));
        count(&scope, &real(dir.path()), &["worker/index.ts"]);
    }
}

#[test]
fn after_a_failed_build_of_a_script_alone_its_folder_counts() {
    let dir = folder(&[("worker.js", "")]);
    let script = dir.path().join("worker.js");
    let scope = Scope::new(None).of_failure(&context(None), Some(&script), &anyhow::anyhow!("no"));
    count(&scope, &real(dir.path()), &["worker.js", "lib/new.js"]);
}

#[test]
fn after_a_failed_build_what_it_had_read_counts_wherever_it_lies() {
    let (dir, shared) = (folder(&[("wrangler.toml", PROJECT)]), folder(&[("util.ts", "")]));
    let sources = BTreeSet::from([shared.path().join("util.ts")]);
    let error = BundleError::Read { error: Box::new(BundleError::NoEntry), sources };
    let scope = after_failure(dir.path(), None, &error.into());
    count(&scope, &real(shared.path()), &["util.ts"]);
    do_not_count(&scope, &real(shared.path()), &["other.ts"]);
}

#[test]
fn what_happens_to_a_folder_on_the_way_concerns_what_counts_below() {
    let scope = Scope {
        files: BTreeSet::from([PathBuf::from("/p/src/index.ts"), PathBuf::from("/p/wrangler.toml")]),
        trees: BTreeSet::from([PathBuf::from("/q/lib")]),
        ..Scope::default()
    };
    for path in ["/p", "/p/src", "/p/src/index.ts", "/q", "/q/lib", "/q/lib/new"] {
        assert!(scope.concerns(Path::new(path)), "{path}");
    }
    for path in ["/p/srcs", "/p/src/other.ts", "/p/s", "/q/lib/.git", "/r"] {
        assert!(!scope.concerns(Path::new(path)), "{path}");
    }
    assert!(!Scope::default().concerns(Path::new("/p")));
}

#[test]
fn every_folder_is_entered_in_which_something_that_counts_may_appear() {
    let dir = folder(&[("src/a.ts", ""), ("src/deep/b.ts", ""), ("src/node_modules/c.js", ""), ("index.js", "")]);
    let root = real(dir.path());
    let scope = Scope {
        files: BTreeSet::from([root.join("index.js"), root.join("gone/away.js")]),
        trees: BTreeSet::from([root.join("src"), root.join("missing/folder")]),
        ..Scope::default()
    };
    let mut entered = BTreeSet::new();
    let found = find(&scope, |folder| {
        entered.insert(folder.to_owned());
    });
    assert!(found.is_whole);
    let files = ["index.js", "gone/away.js", "src/a.ts", "src/deep/b.ts"].map(|name| root.join(name));
    assert_eq!(found.files, BTreeSet::from(files));
    assert_eq!(entered, BTreeSet::from([root.clone(), root.join("src"), root.join("src/deep")]));
}

#[test]
fn a_file_is_told_by_what_it_holds() {
    let dir = folder(&[("a", "one"), ("b", "two")]);
    let files = BTreeSet::from(["a", "b", "absent"].map(|name| dir.path().join(name)));
    let first = read(&files);
    assert_eq!(first.len(), 2);
    write(&dir.path().join("a"), "one");
    assert_eq!(read(&files), first, "the same was written again");
    write(&dir.path().join("a"), "other");
    assert_ne!(read(&files), first);
    fs::remove_file(dir.path().join("a")).unwrap();
    assert_eq!(read(&files).len(), 1);
    write(&dir.path().join("a"), &"x".repeat((1 << 20) + 1));
    assert!(matches!(read(&files)[&dir.path().join("a")], Content::Long { bytes: 1_048_577, .. }));
}

#[test]
fn the_path_of_what_does_not_exist_yet_is_real_as_far_as_it_does() {
    let dir = folder(&[("real/file", "")]);
    std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    for (path, is) in [("link/file", "real/file"), ("link/new/file", "real/new/file"), ("link", "real")] {
        assert_eq!(real(&dir.path().join(path)), root.join(is));
    }
}

#[test]
fn the_secrets_of_an_environment_stand_in_for_the_others_and_the_command_line_for_both() {
    let dir = folder(&[(".dev.vars", "A=all\nB=all\n"), (".dev.vars.mine", "A=mine\n")]);
    let secrets = |env: Option<&str>, given: &[(String, String)]| {
        let mut release = release(dir.path());
        vars::add(&mut release, env, given).unwrap();
        release.extras.secrets.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(secrets(None, &[]), ["A=all", "B=all"]);
    assert_eq!(secrets(Some("mine"), &[]), ["A=mine"]);
    assert_eq!(secrets(Some("other"), &[]), ["A=all", "B=all"]);
    assert_eq!(secrets(None, &[("A".to_owned(), "given".to_owned())]), ["B=all"]);
}

#[test]
fn a_release_goes_without_the_secrets_that_nothing_gives() {
    let dir = folder(&[(".dev.vars.mine", "A=mine\n")]);
    let mut release = release(dir.path());
    vars::add(&mut release, Some("mine"), &[]).unwrap();
    release.plan.vars.insert("B".to_owned(), "given".into());
    release.plan.required_secrets = ["A", "B", "C", "D"].map(str::to_owned).into();
    let note = vars::go_without(&mut release, Some("mine")).unwrap();
    assert!(note.contains("C, D are missing") && note.ends_with("set them in .dev.vars.mine"), "{note}");
    assert!(release.plan.required_secrets.is_empty());
    release.plan.required_secrets = vec!["C".to_owned()];
    let note = vars::go_without(&mut release, None).unwrap();
    assert!(note.contains("C is missing") && note.ends_with("set it in .dev.vars"), "{note}");
    release.plan.required_secrets = vec!["A".to_owned()];
    assert_eq!(vars::go_without(&mut release, None), None);
}
