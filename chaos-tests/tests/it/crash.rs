//! Durability under kill -9.

use skerry_chaos_tests::{
    crash::{self, Plan},
    programs::Programs,
};

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_node_is_killed() {
    let programs = Programs::beside_this_one().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Smaller than `make chaos`: enough kills to hit deploys and writes in flight in a debug build.
    let plan = Plan { seed: 1, deploys: 40, writes: 400, kill_within_ms: 600 };
    let survived = crash::run(&programs, &folder.path().join("node"), plan).await.unwrap();
    assert!(survived.kills >= 2, "the fault did not happen: {survived:?}");
    assert!(survived.unknown >= 1, "no change was in flight at any kill: {survived:?}");
    assert!(survived.deploys >= plan.deploys && survived.writes >= plan.writes, "{survived:?}");
}
