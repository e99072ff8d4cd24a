//! Requests and their answers.

use crate::support::{runtime, text, worker};

#[tokio::test]
async fn a_handler_answers() {
    let runtime = runtime();
    let worker = worker("export default { fetch() { return new Response('x') } }");
    assert_eq!(text(&runtime, &worker, "/").await.unwrap(), "x");
}
