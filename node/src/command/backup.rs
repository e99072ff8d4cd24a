//! `skerry-node backup` and `skerry-node restore`.
//!
//! **Owns** that nobody uses the directory meanwhile, and what the commands say. **Must not know** what is in a backup.
//! **Enter at** [`backup`] and [`restore`].

use std::path::{Path, PathBuf};

use skerry_control::backup::{
    self as made, AdminToken, BackupError, RestoreConfig, RestoreError, Restored, StoppedConfig,
};
use skerry_proto::archive::{Manifest, PartKind};

use crate::data_dir::{DataDir, DataDirError, KV_FILE};

/// BOUND: titles of KV namespaces that are named; the rest is counted.
const NAMED_MAX: usize = 5;

/// Why there is no backup. State: unchanged. Retry: see the source.
#[derive(Debug, thiserror::Error)]
pub enum StoppedError {
    /// There is no data directory. State: unchanged. Retry: with another.
    #[error("{0} is not a data directory: it does not exist")]
    Absent(PathBuf),
    /// The node runs. State: unchanged. Retry: as it says.
    #[error("{0}: back up a running cluster with `skerry cluster backup --output FILE`, or stop the node first")]
    Running(DataDirError),
    /// The directory can not be locked. State: unchanged. Retry: no.
    #[error(transparent)]
    DataDir(DataDirError),
    /// The backup can not be made. State: unchanged. Retry: see the source.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// Makes a backup of a stopped node, with its keys; says what is in it.
pub async fn backup(data_dir: &Path, output: &Path) -> Result<String, StoppedError> {
    if !data_dir.is_dir() {
        return Err(StoppedError::Absent(data_dir.to_owned()));
    }
    let lock = DataDir::lock(data_dir).map_err(|error| match error {
        DataDirError::InUse { .. } => StoppedError::Running(error),
        DataDirError::Io { .. } => StoppedError::DataDir(error),
    })?;
    let manifest = made::stopped(StoppedConfig { data_dir, kv_file: KV_FILE, output }).await?;
    drop(lock);
    Ok(described(&manifest, output))
}

fn described(manifest: &Manifest, output: &Path) -> String {
    let bundles = manifest.of_kind(PartKind::Bundle).count();
    let mut text = format!(
        "backed up revision {} of cluster {} to {} (bundles: {bundles})\nit holds the cluster's key: whoever has the file \
         can read every secret",
        manifest.revision,
        manifest.cluster,
        output.display(),
    );
    if manifest.of_kind(PartKind::Kv).next().is_some() {
        text.push_str("\nKV: the entries that this node keeps are in it, those of other nodes are not");
    } else {
        text.push_str("\nKV: this node keeps no entries, so none are in it");
    }
    text
}

/// Restores a backup into a new directory; says what to do with it.
pub async fn restore(from: &Path, keys: Option<&Path>, data_dir: &Path) -> Result<String, RestoreError> {
    let restored = made::restore(RestoreConfig { from, keys, data_dir, kv_file: KV_FILE }).await?;
    Ok(report(&restored, data_dir))
}

fn report(restored: &Restored, data_dir: &Path) -> String {
    let Restored { manifest, cluster, services, empty_namespaces, admin } = restored;
    let folder = data_dir.display();
    let mut text = format!(
        "restored revision {} of cluster {} as cluster {cluster} to {folder} (services: {services})",
        manifest.revision, manifest.cluster,
    );
    text.push_str(match admin {
        AdminToken::Kept => "\nadmin.token is the old one; the API's other tokens are good as well",
        AdminToken::New => {
            "\nadmin.token is a new one, named \"admin (restored)\"; the API's other tokens are good as well"
        }
    });
    if !empty_namespaces.is_empty() {
        let named = empty_namespaces.iter().take(NAMED_MAX).map(|title| format!("{title:?}"));
        let named = named.collect::<Vec<_>>().join(", ");
        let more = match empty_namespaces.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        text.push_str(&format!("\nKV: the backup has no entries of {named}{more}; these namespaces are empty"));
    }
    text.push_str(&format!(
        "\nstart its first node with: skerry-node --data-dir {folder} --domain {} ...\nand let others join it with new \
         tokens; nodes of the old cluster do not belong to it",
        manifest.domain,
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_running_node_is_not_read_and_the_way_out_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let _running = DataDir::lock(&data).unwrap();
        let error = backup(&data, &dir.path().join("file")).await.unwrap_err().to_string();
        assert!(error.contains("skerry cluster backup --output FILE"), "{error}");
        assert!(error.contains("in use by another node"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_node_is_not_backed_up() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("file");
        let absent = backup(&dir.path().join("none"), &output).await.unwrap_err();
        assert!(matches!(absent, StoppedError::Absent(_)), "{absent}");
        let empty = backup(dir.path(), &output).await.unwrap_err();
        assert!(matches!(empty, StoppedError::Backup(BackupError::NoNode(_))), "{empty}");
        assert!(!output.exists());
    }
}
