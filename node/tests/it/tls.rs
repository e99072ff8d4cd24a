//! What HTTPS promises.

use reqwest::{Certificate, Client, ClientBuilder, Version};
use serde_json::json;
use skerry_node::config::Settings;

use crate::harness::{Node, says};

fn trusting(node: &Node) -> ClientBuilder {
    let ca = std::fs::read(node.dir.path().join("ca.pem")).unwrap();
    Client::builder().no_proxy().add_root_certificate(Certificate::from_pem(&ca).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostname_has_a_certificate_the_moment_it_exists() {
    let node = Node::start().await;
    let version = node.deploy("app", "production", &says("production"), json!([])).await;
    node.deploy("app", "staging", &says("staging"), json!([])).await;
    let address = node.addresses.https.unwrap();
    let preview = format!("{}-app.workers.test", &version[..8]);
    for (host, text) in
        [("app.workers.test", "production"), ("staging.app.workers.test", "staging"), (&preview, "production")]
    {
        let client = trusting(&node).resolve(host, address).build().unwrap();
        let response = client.get(format!("https://{host}:{}/", address.port())).send().await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(response.text().await.unwrap(), text);
    }
    let client = trusting(&node).resolve("app.workers.test", address).http1_only().build().unwrap();
    let response = client.get(format!("https://app.workers.test:{}/", address.port())).send().await.unwrap();
    assert_eq!(response.version(), Version::HTTP_11);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_gets_the_clusters_certificate_and_a_404() {
    let node = Node::start().await;
    let address = node.addresses.https.unwrap();
    let client = trusting(&node).resolve("nobody.workers.test", address).build().unwrap();
    let response = client.get(format!("https://nobody.workers.test:{}/", address.port())).send().await.unwrap();
    assert_eq!(response.status(), 404);
    let client = trusting(&node).resolve("example.com", address).build().unwrap();
    let error = client.get(format!("https://example.com:{}/", address.port())).send().await.unwrap_err();
    assert!(error.is_connect(), "the certificate does not name it: {error:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_encrypted_off_loopback_and_clear_on_it() {
    let settings = Settings { api: Some("0.0.0.0:0".into()), ..Settings::default() };
    let node = Node::start_with(settings).await;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], node.addresses.api.unwrap().port()));
    let client = trusting(&node).resolve("api.workers.test", address).build().unwrap();
    let url = format!("https://api.workers.test:{}/client/v4/accounts", address.port());
    let response = client.get(url).bearer_auth(&node.token).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let clear = format!("http://127.0.0.1:{}/client/v4/accounts", address.port());
    assert!(client.get(clear).send().await.is_err());
    node.stop().await;
}
