//! One tenant's misbehaviour stays its own. How far a neighbour's tail moves is a figure of `make bench`.

use std::time::Duration;

use anyhow::Result;
use skerry_chaos_tests::{
    api::Api,
    node::{DOMAIN, Node},
    offenders::{Expected, OFFENDERS, deploy, quiet_p99, visit_all},
    programs::Programs,
    visitor::Visitor,
};

#[tokio::test]
async fn an_offender_gets_its_documented_answer() -> Result<()> {
    let programs = Programs::beside_this_one()?;
    let folder = tempfile::tempdir()?;
    let node = Node::start(&programs, &folder.path().join("node"), &[]).await?;
    deploy(&Api::of(&node).await?).await?;
    for offender in OFFENDERS {
        let mut visitor = Visitor::connect(node.addresses.http).await?;
        let host = format!("{}.{DOMAIN}", offender.name);
        match offender.answer {
            Expected::Page { status, code, says } => {
                let visit = visitor.get(&host, "/").await?;
                let page = String::from_utf8_lossy(&visit.body).into_owned();
                assert_eq!(visit.status, status, "{host}: {page}");
                assert!(page.contains(code) && page.contains(says), "{host}: {page}");
            }
            Expected::CutOff => {
                let visit = visitor.get(&host, "/").await;
                assert!(visit.is_err(), "{host} gave what looks whole: {visit:?}");
            }
            Expected::Silence => {
                // Waiting for longer would show no more: a quick wrong answer is what this catches.
                let visit = tokio::time::timeout(Duration::from_secs(2), visitor.get(&host, "/")).await;
                assert!(visit.is_err(), "{host} answered {visit:?}");
            }
        }
    }
    node.stop().await
}

#[tokio::test]
async fn a_neighbour_of_offenders_keeps_serving() -> Result<()> {
    let programs = Programs::beside_this_one()?;
    let folder = tempfile::tempdir()?;
    let node = Node::start(&programs, &folder.path().join("node"), &[]).await?;
    deploy(&Api::of(&node).await?).await?;
    let visited = visit_all(node.addresses.http);
    quiet_p99(node.addresses.http, 300).await?;
    drop(visited);
    node.stop().await
}
