//! `skerry cluster backup`
//!
//! **Owns** that the file is whole and checked before it has its name. **Must not know** what is in it. **Enter at** [`run`].

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use skerry_proto::archive::{Manifest, PartKind, Reader};
use tempfile::NamedTempFile;

use crate::client::{Call, Client};
use crate::context::Context;
use crate::output::size;

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to make; only its owner can read it. An older one is replaced once the new one is whole
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

pub(super) async fn run(context: &Context, args: BackupArgs) -> anyhow::Result<()> {
    let (path, client) = (&args.output, context.client().await?);
    let wrong = || format!("{} can not be written", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Before the cluster is asked for gigabytes. Temporary files are made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".skerry-backup.").tempfile_in(folder).with_context(wrong)?;
    let manifest = {
        let _progress = context.out.progress("Reading the cluster");
        fetch(client, &mut file).await?;
        verify(&file)?
    };
    file.as_file().sync_all().with_context(wrong)?;
    file.persist(path).map_err(|error| error.error).with_context(wrong)?;
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(wrong)?;
    show(context, path, &manifest);
    Ok(())
}

async fn fetch(client: &Client, file: &mut NamedTempFile) -> anyhow::Result<()> {
    let mut answer = client.stream(Call::get(["cluster", "backup"])).await?;
    while let Some(piece) = answer.next_piece().await? {
        file.write_all(&piece).context("the backup can not be written")?;
    }
    Ok(())
}

/// Reads back what was written, and believes only that.
fn verify(file: &NamedTempFile) -> anyhow::Result<Manifest> {
    let reader = Reader::open(BufReader::new(file.reopen()?));
    reader.and_then(Reader::finish).context("what the cluster sent is no whole backup; try again")
}

fn show(context: &Context, path: &Path, manifest: &Manifest) {
    let (bundles, bytes) = (manifest.of_kind(PartKind::Bundle).count(), manifest.file_bytes());
    context.out.document(&json!({
        "file": path.display().to_string(), "cluster": manifest.cluster, "domain": manifest.domain,
        "revision": manifest.revision.0, "feature_level": manifest.feature_level, "bundles": bundles,
        "size_bytes": bytes, "has_keys": false, "has_kv_entries": false,
    }));
    context.out.line(format!(
        "Backed up revision {} of cluster {} to {} (bundles: {bundles}, {} in all)",
        manifest.revision,
        manifest.cluster,
        path.display(),
        size(usize::try_from(bytes).unwrap_or(usize::MAX)),
    ));
    context.out.note(
        "Not in it: KV entries, and the cluster's key. Without the key the secrets in it stay sealed, so keep cluster.key \
         of any node's data directory somewhere else.\nTo restore: skerry-node restore --data-dir NEW --from FILE --keys DIR",
    );
}
