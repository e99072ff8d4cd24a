//! `.dev.vars`, wrangler's file of secrets for local development.
//!
//! **Owns** which file is read, and what a release gets from it. **Must not know** its syntax. **Enter at** [`add`].

use std::path::{Path, PathBuf};

use crate::release::{self, Release};

const NAME: &str = ".dev.vars";

/// Gives a release the secrets of its file. `given` are the command line's variables, which go before every file.
pub(super) fn add(release: &mut Release, env: Option<&str>, given: &[(String, String)]) -> anyhow::Result<()> {
    if let Some(name) = chosen(&release.dir, env) {
        release.extras.secrets.extend(release::secrets_in(&release.dir.join(name))?);
    }
    for (name, _) in given {
        release.extras.secrets.remove(name);
    }
    Ok(())
}

/// Every file that may be read.
pub(super) fn files(dir: &Path, env: Option<&str>) -> Vec<PathBuf> {
    names(env).into_iter().map(|name| dir.join(name)).collect()
}

/// Lets a release go without the secrets that the project file requires and nothing gives; what to say of it. A deploy
/// would be refused, and tell how to set them in a cluster, which is not where `dev` serves from.
pub(super) fn go_without(release: &mut Release, env: Option<&str>) -> Option<String> {
    let required = std::mem::take(&mut release.plan.required_secrets);
    let is_given = |name: &String| release.extras.secrets.contains_key(name) || release.plan.vars.contains_key(name);
    let missing: Vec<&str> = required.iter().filter(|name| !is_given(name)).map(String::as_str).collect();
    let (secrets, are, them) = match missing.as_slice() {
        [] => return None,
        [one] => ((*one).to_owned(), "is", "it"),
        all => (all.join(", "), "are", "them"),
    };
    let file = chosen(&release.dir, env).unwrap_or_else(|| NAME.to_owned());
    Some(format!("secrets.required: {secrets} {are} missing, and the worker runs without; set {them} in {file}"))
}

/// The file that is read: the first that exists, alone.
fn chosen(dir: &Path, env: Option<&str>) -> Option<String> {
    names(env).into_iter().find(|name| dir.join(name).is_file())
}

/// With `--env NAME`, `.dev.vars.NAME` stands in for `.dev.vars`, as for wrangler.
fn names(env: Option<&str>) -> Vec<String> {
    env.map(|name| format!("{NAME}.{name}")).into_iter().chain([NAME.to_owned()]).collect()
}
