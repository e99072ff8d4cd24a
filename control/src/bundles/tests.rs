//! What the bundles of one node promise.

use super::*;

fn open(folder: &tempfile::TempDir) -> Bundles {
    Bundles::open(folder.path(), 1 << 20).unwrap()
}

#[tokio::test]
async fn what_was_put_is_got_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let bundles = open(&folder);
    let hash = bundles.put(Bytes::from_static(b"code")).await.unwrap();
    assert_eq!(bundles.put(Bytes::from_static(b"code")).await.unwrap(), hash);
    assert_eq!(bundles.get(&hash).await.unwrap().unwrap(), "code");
    assert_eq!(bundles.get(&BundleHash::of(b"other")).await.unwrap(), None);
    assert_eq!(bundles.size_bytes(), 4);
}

#[tokio::test]
async fn what_was_used_since_it_was_looked_at_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let bundles = open(&folder);
    for bytes in [&b"idle"[..], b"again", b"read"] {
        let hash = bundles.put(Bytes::copy_from_slice(bytes)).await.unwrap();
        let file = File::options().write(true).open(bundles.path(&hash)).unwrap();
        file.set_modified(crate::clock::system() - std::time::Duration::from_secs(60)).unwrap();
    }
    let old = bundles.all().unwrap();
    bundles.put(Bytes::from_static(b"again")).await.unwrap();
    bundles.get(&BundleHash::of(b"read")).await.unwrap();
    assert_eq!(bundles.remove(&old).unwrap(), 1);
    assert_eq!(bundles.get(&BundleHash::of(b"idle")).await.unwrap(), None);
    assert_eq!(bundles.all().unwrap().len(), 2);
    assert_eq!(bundles.size_bytes(), 9);
}

#[tokio::test]
async fn a_damaged_bundle_is_refused_and_healed_by_another_upload() {
    let folder = tempfile::tempdir().unwrap();
    let bundles = open(&folder);
    let hash = bundles.put(Bytes::from_static(b"code")).await.unwrap();
    fs::write(bundles.path(&hash), b"evil").unwrap();
    assert!(matches!(bundles.get(&hash).await, Err(BundleError::Damaged { .. })));
    bundles.put(Bytes::from_static(b"code")).await.unwrap();
    assert_eq!(bundles.get(&hash).await.unwrap().unwrap(), "code");
}

struct Elsewhere;

#[async_trait::async_trait]
impl BundleSource for Elsewhere {
    async fn fetch(&self, hash: &BundleHash) -> Option<Bytes> {
        (*hash == BundleHash::of(b"code")).then(|| Bytes::from_static(b"code"))
    }
}

#[tokio::test]
async fn what_can_not_be_kept_is_used_and_does_not_count_as_stocked() {
    let folder = tempfile::tempdir().unwrap();
    let bundles = open(&folder);
    bundles.fetch_from(Arc::new(Elsewhere));
    let hash = BundleHash::of(b"code");
    // A file stands where the folder would be: as good as a full disk.
    let in_the_way = bundles.path(&hash).parent().unwrap().to_owned();
    fs::write(&in_the_way, b"").unwrap();
    assert!(matches!(bundles.stock(&hash).await, Err(BundleError::Io { action: "stored", .. })));
    fs::remove_file(&in_the_way).unwrap();
    assert!(!bundles.stock(&BundleHash::of(b"nobody's")).await.unwrap());
    assert!(bundles.stock(&hash).await.unwrap());
    assert_eq!(bundles.get(&hash).await.unwrap().unwrap(), "code");
}
