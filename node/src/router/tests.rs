//! What the table promises.

use super::*;

#[test]
fn an_empty_table_knows_nobody() {
    let router: Router<()> = Router::default();
    assert!(router.find(Scheme::Https, "app.workers.localhost", "/", None).is_none());
}
