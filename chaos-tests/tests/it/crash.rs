//! Durability under kill -9.

use skerry_chaos_tests::{
    crash::{self, Plan},
    programs::Programs,
};

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_node_is_killed() {
    let programs = Programs::beside_this_one().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Smaller than `make chaos`.
    let plan = Plan { seed: 1, deploys: 40, writes: 400, kills: 3, kill_within_ms: 600 };
    let survived = crash::run(&programs, &folder.path().join("node"), plan).await.unwrap();
    assert!(survived.kills >= plan.kills, "the fault did not happen: {survived:?}");
    assert!(survived.unknown >= survived.kills, "no change was in flight at some kill: {survived:?}");
    assert!(survived.deploys >= plan.deploys && survived.writes >= plan.writes, "{survived:?}");
}
