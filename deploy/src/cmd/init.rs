//! `skerry init`
//!
//! **Owns** the templates of new projects. **Must not know** the API. **Enter at** [`run`].

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use skerry_proto::id::ServiceName;

use crate::context::Context;
use crate::exit::Usage;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Where to make it
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// What to start with
    #[arg(long, value_enum, default_value = "js")]
    template: Template,
    /// The service's name [default: the folder's]
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Template {
    /// One JavaScript file
    Js,
    /// TypeScript
    Ts,
    /// TypeScript with the router hono, from npm
    Hono,
}

impl Template {
    /// The files of the template, in which NAME and DATE are replaced.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Js => &[
                ("wrangler.toml", include_str!("init/js.wrangler.toml")),
                ("src/index.js", include_str!("init/index.js")),
                (".gitignore", include_str!("init/gitignore")),
            ],
            Self::Ts => &[
                ("wrangler.toml", include_str!("init/ts.wrangler.toml")),
                ("src/index.ts", include_str!("init/index.ts")),
                ("tsconfig.json", include_str!("init/tsconfig.json")),
                (".gitignore", include_str!("init/gitignore")),
            ],
            Self::Hono => &[
                ("wrangler.toml", include_str!("init/ts.wrangler.toml")),
                ("src/index.ts", include_str!("init/hono.ts")),
                ("package.json", include_str!("init/hono.package.json")),
                ("tsconfig.json", include_str!("init/tsconfig.json")),
                (".gitignore", include_str!("init/gitignore")),
            ],
        }
    }
}

pub(crate) fn run(context: &Context, args: InitArgs) -> anyhow::Result<()> {
    let name = name(&args)?;
    let files = args.template.files();
    // Everything is checked before anything is written: a project is made whole or not at all.
    for (path, _) in files {
        let path = args.dir.join(path);
        if path.exists() && !path.ends_with(".gitignore") {
            return Err(Usage(format!("{} exists already; nothing was written", path.display())).into());
        }
    }
    let date = jiff::Zoned::now().date().to_string();
    for (path, text) in files {
        let path = args.dir.join(path);
        if !path.exists() {
            write(&path, &text.replace("NAME", name.as_str()).replace("DATE", &date))?;
        }
    }
    let names: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
    context.out.document(&json!({ "name": name.as_str(), "dir": args.dir, "files": names }));
    context.out.line(format!("Made {name} in {}: {}", args.dir.display(), names.join(", ")));
    let mut next = Vec::new();
    if args.dir != Path::new(".") {
        next.push(format!("cd {}", args.dir.display()));
    }
    if matches!(args.template, Template::Hono) {
        next.push("npm install".to_owned());
    }
    next.push("skerry dev".to_owned());
    context.out.line(format!("Next: {}", next.join(" && ")));
    Ok(())
}

fn name(args: &InitArgs) -> anyhow::Result<ServiceName> {
    let given = match &args.name {
        Some(name) => name.clone(),
        None => {
            let dir = std::path::absolute(&args.dir)?;
            let folder = dir.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
            let tidy: String = folder.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            tidy.trim_matches('-').to_owned()
        }
    };
    Ok(ServiceName::new(&given).map_err(|error| Usage(format!("{error}; give --name")))?)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(std::fs::write(path, text)?)
}
