//! Where a local cluster is kept.
//!
//! **Owns** what lies in its folder, and that one run at a time uses it. **Must not know** processes. **Enter at**
//! [`Folder::open`].
//!
//! | name | what |
//! |---|---|
//! | `NAME.toml` | the settings of a node, its ports among them |
//! | `NAME/` | its data |
//! | `NAME.log` | what it logs |
//! | `cache/` | compiled code, the same for all |
//! | `env` | the variables by which `skerry` finds the cluster |
//! | `join.token` | while nodes join |
//! | `lock` | held by the run that uses the folder |

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::roster::{self, FOUNDER, Wanted};
use super::settings::{Entry, NodeSettings};
use super::{ports, quoted};
use crate::exit::Usage;

const JOIN_TOKEN: &str = "join.token";
/// What a node leaves in its data directory once it is a member.
const MEMBER: &str = "node.identity";

/// The folder, until this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes it where it is not there.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))?;
        let path = std::fs::canonicalize(path)?;
        let lock = path.join("lock");
        let file = OpenOptions::new().create(true).append(true).open(&lock);
        let file = file.with_context(|| format!("{} cannot be written", lock.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, _lock: file }),
            Err(std::fs::TryLockError::WouldBlock) => {
                bail!("the cluster in {} runs already; stop that, or give another --dir", path.display())
            }
            Err(std::fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be locked", lock.display()))
            }
        }
    }

    /// The nodes that are wanted, in their order; the files of new ones are written.
    pub(super) fn settle(&self, wanted: &Wanted) -> anyhow::Result<Vec<NodeSettings>> {
        let mut nodes = self.found()?;
        let newcomers = roster::missing(wanted, &nodes)
            .map_err(|error| Usage(format!("the cluster in {}: {error}", self.path.display())))?;
        let taken: Vec<_> = nodes.iter().map(|node| node.ports).collect();
        let ports = ports::pick(newcomers.len(), &taken)?;
        nodes.extend(newcomers.into_iter().zip(ports).map(|(new, ports)| NodeSettings {
            name: new.name,
            role: new.role,
            region: new.region,
            domain: new.domain,
            ports,
        }));
        roster::sort(&mut nodes);
        let founder = nodes.first().context("a cluster has a founder")?.ports.mesh;
        for node in &nodes {
            let entry = match node.name == FOUNDER {
                true => Entry::Founds,
                false => Entry::Joins { at: founder, token_file: JOIN_TOKEN },
            };
            self.write_settings(node, entry)?;
        }
        Ok(nodes)
    }

    fn found(&self) -> anyhow::Result<Vec<NodeSettings>> {
        let mut nodes = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            let wrong = |why| Usage(format!("{}: {why}", path.display()));
            let settings = NodeSettings::read(&text).map_err(wrong)?;
            if path.file_stem().is_none_or(|name| name != settings.name.as_str()) {
                return Err(wrong(format!("node_name is {}, unlike the file's name", settings.name)).into());
            }
            nodes.push(settings);
        }
        Ok(nodes)
    }

    /// The paths follow the folder, which may have been moved.
    fn write_settings(&self, node: &NodeSettings, entry: Entry<'_>) -> anyhow::Result<()> {
        let path = self.settings(node);
        let before = std::fs::read_to_string(&path).ok();
        let text = node.write(before.as_deref(), &self.path, entry).map_err(|why| Usage(why.clone()))?;
        if before.as_deref() != Some(&text) {
            replace(&path, &text)?;
        }
        Ok(())
    }

    /// The file with a node's settings.
    pub(super) fn settings(&self, node: &NodeSettings) -> PathBuf {
        self.path.join(format!("{}.toml", node.name))
    }

    /// Where it logs.
    pub(super) fn log(&self, node: &NodeSettings) -> PathBuf {
        self.path.join(format!("{}.log", node.name))
    }

    /// Whether a node has joined before, or founded the cluster.
    pub(super) fn is_member(&self, node: &NodeSettings) -> bool {
        self.path.join(&node.name).join(MEMBER).exists()
    }

    /// The file with the operator's token.
    pub(super) fn token_file(&self) -> PathBuf {
        self.path.join(FOUNDER).join("admin.token")
    }

    /// The file with the certificate of the cluster's CA.
    pub(super) fn ca(&self) -> PathBuf {
        self.path.join(FOUNDER).join("ca.pem")
    }

    /// Leaves a join token for the nodes that are started next.
    pub(super) fn put_join_token(&self, token: &str) -> anyhow::Result<()> {
        let path = self.path.join(JOIN_TOKEN);
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(token.as_bytes()));
        written.with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Once all have joined it is of no use.
    pub(super) fn remove_join_token(&self) {
        let _ = std::fs::remove_file(self.path.join(JOIN_TOKEN));
    }

    /// Writes the lines by which a shell points `skerry` to the cluster, and returns them.
    pub(super) fn write_environment(&self, api: &str) -> anyhow::Result<[String; 3]> {
        let file = |path: PathBuf| quoted(&path.to_string_lossy());
        let (token, ca) = (file(self.token_file()), file(self.ca()));
        let lines = [("SKERRY_API", api.to_owned()), ("SKERRY_TOKEN_FILE", token), ("SKERRY_CA", ca)];
        let lines = lines.map(|(name, value)| format!("export {name}={value}"));
        replace(&self.path.join("env"), &format!("{}\n", lines.join("\n")))?;
        Ok(lines)
    }
}

/// Writes a file whole, or not at all.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path));
    written.with_context(|| format!("{} cannot be written", path.display()))
}
