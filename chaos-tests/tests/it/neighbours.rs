//! One tenant's misbehaviour stays its own. How far a neighbour's tail moves is a figure of `make bench`.

use anyhow::Result;
use skerry_chaos_tests::{
    api::Api,
    node::{DOMAIN, Node},
    offenders::{OFFENDERS, deploy, quiet_p99, visit_all},
    programs::Programs,
    visitor::Visitor,
};

#[tokio::test]
async fn an_offender_gets_its_documented_page() -> Result<()> {
    let programs = Programs::beside_this_one()?;
    let folder = tempfile::tempdir()?;
    let node = Node::start(&programs, &folder.path().join("node"), &[]).await?;
    deploy(&Api::of(&node).await?).await?;
    for offender in OFFENDERS {
        let mut visitor = Visitor::connect(node.addresses.http).await?;
        let visit = visitor.get(&format!("{}.{DOMAIN}", offender.name), "/").await?;
        let page = String::from_utf8_lossy(&visit.body).into_owned();
        assert_eq!(visit.status, offender.status, "{}: {page}", offender.name);
        assert!(page.contains(offender.code), "{}: {page}", offender.name);
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
