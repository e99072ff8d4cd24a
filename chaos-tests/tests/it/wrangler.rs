//! The stock wrangler, unmodified and pointed at a node, does what its users know.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use skerry_chaos_tests::{
    api::Api,
    node::{DOMAIN, Node},
    programs::Programs,
    visitor::Visitor,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
    time::timeout,
};

/// BOUND: wrangler starts Node.js and may retry; on a loaded machine a call takes seconds, never minutes.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Wrangler in a project folder, pointed at one node.
struct Wrangler {
    program: PathBuf,
    project: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Wrangler {
    fn new(programs: &Programs, project: &Path, api: &Api) -> Result<Self> {
        let variables = vec![
            ("CLOUDFLARE_API_BASE_URL", api.base().to_owned()),
            ("CLOUDFLARE_API_TOKEN", api.token().to_owned()),
            ("CLOUDFLARE_ACCOUNT_ID", api.account.clone()),
            ("WRANGLER_SEND_METRICS", "false".to_owned()),
            ("CI", "true".to_owned()),
            ("NO_COLOR", "1".to_owned()),
            ("HOME", project.display().to_string()),
        ];
        Ok(Self { program: programs.wrangler()?, project: project.to_owned(), variables })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(&self.project)
            .envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs to the end and returns what it printed.
    async fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with(arguments, "").await
    }

    /// The same with something to read on standard input.
    async fn run_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().context("start wrangler")?;
        let mut stdin = child.stdin.take().context("stdin is piped")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let finished = timeout(CALL_TIMEOUT, child.wait_with_output()).await;
        let output: Output = finished.with_context(|| format!("wrangler {arguments:?} did not end"))??;
        let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "wrangler {arguments:?} failed:\n{printed}");
        Ok(printed)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.project.join(name), text).with_context(|| format!("write {name}"))
    }
}

const CONFIG: &str = r#"
name = "app"
main = "index.js"
compatibility_date = "2026-01-01"

[vars]
GREETING = "hello from production"

[env.staging.vars]
GREETING = "hello from staging"
"#;

fn worker(release: &str) -> String {
    format!(
        "export default {{ fetch(request, env) {{ console.log('served', '{release}'); \
         return new Response(`${{env.GREETING}} {release} ${{env.TOKEN ?? 'no token'}}`) }} }}"
    )
}

/// A node, a project and wrangler between them.
struct Scene {
    node: Node,
    wrangler: Wrangler,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Result<Self> {
        let programs = Programs::beside_this_one()?;
        let folder = tempfile::tempdir()?;
        let node = Node::start(&programs, &folder.path().join("node"), &[]).await?;
        let project = folder.path().join("project");
        std::fs::create_dir(&project)?;
        let wrangler = Wrangler::new(&programs, &project, &Api::of(&node).await?)?;
        wrangler.write("wrangler.toml", CONFIG)?;
        wrangler.write("index.js", &worker("one"))?;
        Ok(Self { node, wrangler, _folder: folder })
    }

    /// What an end user reads at `host`.
    async fn read(&self, host: &str) -> Result<String> {
        let visit = Visitor::connect(self.node.addresses.http).await?.get(&format!("{host}.{DOMAIN}"), "/").await?;
        Ok(String::from_utf8(visit.body.to_vec())?)
    }

    async fn expect(&self, host: &str, text: &str) -> Result<()> {
        let read = self.read(host).await?;
        ensure!(read == text, "{host} answers {read:?}, expected {text:?}");
        Ok(())
    }
}

#[tokio::test]
async fn wrangler_deploys_two_environments_of_one_service() -> Result<()> {
    let scene = Scene::new().await?;
    let whoami = scene.wrangler.run(&["whoami"]).await?;
    ensure!(whoami.contains("default"), "{whoami}");
    scene.wrangler.run(&["deploy"]).await?;
    scene.wrangler.run(&["deploy", "--env", "staging"]).await?;
    scene.expect("app", "hello from production one no token").await?;
    scene.expect("staging.app", "hello from staging one no token").await?;
    scene.wrangler.run(&["delete", "--env", "staging", "--force"]).await?;
    scene.expect("app", "hello from production one no token").await?;
    scene.wrangler.run(&["delete", "--force"]).await?;
    let gone = Visitor::connect(scene.node.addresses.http).await?.get(&format!("app.{DOMAIN}"), "/").await?;
    ensure!(gone.status == 404, "{gone:?}");
    scene.node.stop().await
}

#[tokio::test]
async fn wrangler_uploads_versions_splits_traffic_and_rolls_back() -> Result<()> {
    let scene = Scene::new().await?;
    scene.wrangler.run(&["deploy"]).await?;
    let first = live_version(&scene).await?;
    scene.wrangler.write("index.js", &worker("two"))?;
    scene.wrangler.run(&["deploy", "--message", "the second"]).await?;
    scene.expect("app", "hello from production two no token").await?;
    let second = live_version(&scene).await?;
    ensure!(first != second, "a deploy makes a version");

    let listed = scene.wrangler.run(&["versions", "list", "--json"]).await?;
    ensure!(listed.contains(&first) && listed.contains(&second), "{listed}");
    let viewed = scene.wrangler.run(&["versions", "view", &second]).await?;
    ensure!(viewed.contains(&second), "{viewed}");
    let deployments = scene.wrangler.run(&["deployments", "list"]).await?;
    ensure!(deployments.contains(&first) && deployments.contains("the second"), "{deployments}");

    scene.wrangler.write("index.js", &worker("three"))?;
    scene.wrangler.run(&["versions", "upload"]).await?;
    scene.expect("app", "hello from production two no token").await?;
    let half = [format!("{first}@50%"), format!("{second}@50%")];
    scene.wrangler.run(&["versions", "deploy", &half[0], &half[1], "--yes"]).await?;
    let status = scene.wrangler.run(&["deployments", "status"]).await?;
    ensure!(status.contains(&first) && status.contains(&second), "{status}");

    scene.wrangler.run(&["rollback", &first, "--yes", "--message", "back"]).await?;
    scene.expect("app", "hello from production one no token").await?;
    scene.node.stop().await
}

/// The one version that production serves.
async fn live_version(scene: &Scene) -> Result<String> {
    let printed = scene.wrangler.run(&["deployments", "status", "--json"]).await?;
    let json = &printed[printed.find('{').context("a JSON object")?..=printed.rfind('}').context("its end")?];
    let status: serde_json::Value = serde_json::from_str(json)?;
    Ok(status["versions"][0]["version_id"].as_str().context("a version id")?.to_owned())
}

#[tokio::test]
async fn wrangler_keeps_secrets() -> Result<()> {
    let scene = Scene::new().await?;
    scene.wrangler.run(&["deploy"]).await?;
    scene.wrangler.run_with(&["secret", "put", "TOKEN"], "s3cret").await?;
    scene.expect("app", "hello from production one s3cret").await?;
    scene.wrangler.write("index.js", &worker("two"))?;
    scene.wrangler.run(&["deploy"]).await?;
    scene.expect("app", "hello from production two s3cret").await?;
    scene.wrangler.write("bulk.json", r#"{ "TOKEN": "changed", "OTHER": "x" }"#)?;
    scene.wrangler.run(&["secret", "bulk", "bulk.json"]).await?;
    scene.expect("app", "hello from production two changed").await?;
    let listed = scene.wrangler.run(&["secret", "list"]).await?;
    ensure!(listed.contains("TOKEN") && listed.contains("OTHER"), "{listed}");
    ensure!(!listed.contains("changed"), "a secret is never read back: {listed}");
    scene.wrangler.run_with(&["secret", "delete", "TOKEN"], "y\n").await?;
    scene.expect("app", "hello from production two no token").await?;
    scene.node.stop().await
}

#[tokio::test]
async fn wrangler_manages_kv() -> Result<()> {
    let scene = Scene::new().await?;
    let w = &scene.wrangler;
    w.run(&["kv", "namespace", "create", "CACHE"]).await?;
    let listed = w.run(&["kv", "namespace", "list"]).await?;
    let json = &listed[listed.find('[').context("a JSON list")?..=listed.rfind(']').context("its end")?];
    let namespaces: serde_json::Value = serde_json::from_str(json)?;
    let id = namespaces[0]["id"].as_str().context("a namespace id")?;
    let on = ["--namespace-id", id, "--remote"];
    let with = |arguments: &[&'static str]| -> Vec<String> {
        arguments.iter().copied().chain(on).map(str::to_owned).collect()
    };
    let call = async |arguments: &[&'static str]| {
        let owned = with(arguments);
        w.run(&owned.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    call(&["kv", "key", "put", "greeting", "hi there"]).await?;
    let got = call(&["kv", "key", "get", "greeting", "--text"]).await?;
    ensure!(got.contains("hi there"), "{got}");
    w.write("bulk.json", r#"[{ "key": "a", "value": "1" }, { "key": "b", "value": "2", "metadata": { "n": 2 } }]"#)?;
    call(&["kv", "bulk", "put", "bulk.json"]).await?;
    let keys = call(&["kv", "key", "list"]).await?;
    ensure!(keys.contains("\"a\"") && keys.contains("\"b\"") && keys.contains("greeting"), "{keys}");
    w.write("keys.json", r#"["a", "b"]"#)?;
    call(&["kv", "bulk", "delete", "keys.json", "--force"]).await?;
    call(&["kv", "key", "delete", "greeting"]).await?;
    let keys = call(&["kv", "key", "list"]).await?;
    ensure!(!keys.contains("greeting") && !keys.contains("\"a\""), "{keys}");
    w.run(&["kv", "namespace", "delete", "--namespace-id", id, "--skip-confirmation"]).await?;
    scene.node.stop().await
}

#[tokio::test]
async fn wrangler_tails_lines_as_they_are_logged() -> Result<()> {
    let scene = Scene::new().await?;
    scene.wrangler.run(&["deploy"]).await?;
    let mut tail = scene.wrangler.command(&["tail", "--format", "json"]).stdin(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(tail.stdout.take().context("stdout is piped")?).lines();
    let logged = async {
        while let Some(line) = lines.next_line().await? {
            if line.contains("served") {
                return anyhow::Ok(());
            }
        }
        anyhow::bail!("wrangler tail ended without the line")
    };
    // The tail is live at some moment after wrangler started: visits go on until one of them is seen.
    let visits = async {
        loop {
            scene.read("app").await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        #[expect(unreachable_code, reason = "names the block's error type")]
        anyhow::Ok(())
    };
    let seen = async {
        tokio::select! { seen = logged => seen, failed = visits => failed }
    };
    timeout(CALL_TIMEOUT, seen).await.context("no line arrived")??;
    tail.kill().await?;
    scene.node.stop().await
}
