//! Where the programs under test lie.
//!
//! **Owns** paths. **Must not know** how the programs are used. **Enter at** [`Programs`].

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The programs under test and the tools beside them.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `skerry-node`.
    pub node: PathBuf,
    /// `skerry`.
    pub cli: PathBuf,
    /// The folder that `.ci/setup` filled: `npm/node_modules/.bin/wrangler` and so on.
    pub tools: PathBuf,
    /// The other programs of the same build.
    pub folder: PathBuf,
}

impl Programs {
    /// The programs in `folder`.
    ///
    /// # Errors
    /// Names the one that is missing and how to build it.
    pub fn in_folder(folder: &Path, tools: &Path) -> Result<Self> {
        let found = Self {
            node: folder.join("skerry-node"),
            cli: folder.join("skerry"),
            tools: tools.to_owned(),
            folder: folder.to_owned(),
        };
        for program in [&found.node, &found.cli] {
            ensure!(program.exists(), "{} is missing: run `cargo build --workspace --bins`", program.display());
        }
        Ok(found)
    }

    /// The programs of the build that this test or benchmark belongs to.
    ///
    /// # Errors
    /// As [`Programs::in_folder`].
    pub fn beside_this_one() -> Result<Self> {
        let own = std::env::current_exe().context("this program has no path")?;
        let folder = own.ancestors().skip(1).find(|folder| folder.join("skerry-node").exists());
        let folder = folder.context("skerry-node is not beside this program: run `cargo build --workspace --bins`")?;
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate lies in the workspace")?;
        Self::in_folder(folder, &workspace.join(".tools"))
    }

    /// The stock wrangler, as npm installed it.
    ///
    /// # Errors
    /// When `make setup` has not been run.
    pub fn wrangler(&self) -> Result<PathBuf> {
        self.tool("npm/node_modules/.bin/wrangler")
    }

    /// The stock workerd.
    ///
    /// # Errors
    /// When `make setup` has not been run.
    pub fn workerd(&self) -> Result<PathBuf> {
        self.tool("npm/node_modules/@cloudflare/workerd-linux-64/bin/workerd")
    }

    /// Debian's etcd.
    ///
    /// # Errors
    /// When `.ci/setup bench` has not been run.
    pub fn etcd(&self) -> Result<PathBuf> {
        self.tool("etcd/usr/bin/etcd")
    }

    fn tool(&self, path: &str) -> Result<PathBuf> {
        let tool = self.tools.join(path);
        ensure!(tool.exists(), "{} is missing: run `.ci/setup bench`", tool.display());
        tool.canonicalize().with_context(|| format!("{} has no absolute path", tool.display()))
    }
}
