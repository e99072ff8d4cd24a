//! `skerry doctor`
//!
//! **Owns** the checks that explain why a deploy would fail. **Must not know** how to repair. **Enter at** [`run`].

use clap::Args;
use serde_json::{Value, json};

use crate::client::{Call, ClientError, model};
use crate::context::{Context, user_config_path};
use crate::project::Plan;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

/// What one check found.
struct Finding {
    name: &'static str,
    /// `None` where there is nothing to check.
    passed: Option<bool>,
    text: String,
}

impl Finding {
    fn passed(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, passed: Some(true), text: text.into() }
    }

    fn failed(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, passed: Some(false), text: text.into() }
    }

    fn skipped(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, passed: None, text: text.into() }
    }

    fn word(&self) -> &'static str {
        match self.passed {
            Some(true) => "ok",
            Some(false) => "failed",
            None => "-",
        }
    }
}

pub(crate) async fn run(context: &Context, DoctorArgs {}: DoctorArgs) -> anyhow::Result<()> {
    let mut findings = vec![settings()];
    findings.extend(project(context));
    findings.extend(api(context).await);
    let raw = findings.iter().map(|one| json!({ "name": one.name, "status": one.word(), "detail": one.text }));
    let raw = Value::Array(raw.collect());
    let rows = findings.iter().map(|one| [one.name.to_owned(), one.word().to_owned(), one.text.clone()]);
    context.out.list(&raw, ["CHECK", "RESULT", "DETAIL"], rows, "");
    match findings.iter().filter(|one| one.passed == Some(false)).count() {
        0 => Ok(()),
        failed => anyhow::bail!("{failed} of {} checks failed", findings.len()),
    }
}

fn settings() -> Finding {
    match user_config_path() {
        Some(path) if path.is_file() => Finding::passed("settings", path.display().to_string()),
        Some(path) => Finding::skipped("settings", format!("no {}", path.display())),
        None => Finding::skipped("settings", "no home folder"),
    }
}

fn project(context: &Context) -> Vec<Finding> {
    let project = match context.project() {
        Ok(Some(project)) => project,
        Ok(None) => return vec![Finding::skipped("project", "no project file here or above")],
        Err(error) => return vec![Finding::failed("project", format!("{error:#}"))],
    };
    let mut findings = vec![Finding::passed("project", project.path.display().to_string())];
    let plan = context
        .environment()
        .and_then(|environment| Ok(Plan::of(&project.file, context.given_service()?.as_ref(), &environment)?));
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => {
            findings.push(Finding::failed("environment", format!("{error:#}")));
            return findings;
        }
    };
    findings.push(match &plan.main {
        None => Finding::failed("entry", "the project file has no `main`"),
        Some(main) if plan.build.command.is_some() => {
            Finding::passed("entry", format!("{main}, made by [build] command"))
        }
        Some(main) if project.dir.join(main).is_file() => Finding::passed("entry", main.clone()),
        Some(main) => Finding::failed("entry", format!("{main} does not exist")),
    });
    let needs_packages = std::fs::read_to_string(project.dir.join("package.json"))
        .ok()
        .and_then(|text| serde_json::from_str::<Value>(&text).ok())
        .is_some_and(|package| package["dependencies"].as_object().is_some_and(|all| !all.is_empty()));
    if needs_packages {
        findings.push(match project.dir.join("node_modules").is_dir() {
            true => Finding::passed("packages", "node_modules is there"),
            false => {
                Finding::failed("packages", "package.json has dependencies, but node_modules is missing: npm install")
            }
        });
    }
    findings
}

async fn api(context: &Context) -> Vec<Finding> {
    let client = match context.client().await {
        Ok(client) => client,
        Err(error) => return vec![Finding::failed("api", format!("{error:#}"))],
    };
    let cluster = match client.send::<model::Cluster>(Call::get(["cluster"])).await {
        Ok(found) => found.result,
        Err(error @ ClientError::Refused { status: 401 | 403, .. }) => {
            return vec![Finding::passed("api", client.api()), Finding::failed("token", error.to_string())];
        }
        Err(error) => return vec![Finding::failed("api", format!("{:#}", anyhow::Error::from(error)))],
    };
    let mut findings = vec![Finding::passed("api", format!("{}, version {}", client.api(), cluster.version))];
    findings.push(match client.send::<Value>(Call::get(["user", "tokens", "verify"])).await {
        Ok(found) => Finding::passed("token", found.result["status"].as_str().unwrap_or("active")),
        Err(error) => Finding::failed("token", error.to_string()),
    });
    findings.push(match client.account().await {
        Ok(account) => Finding::passed("account", account),
        Err(error) => Finding::failed("account", error.to_string()),
    });
    let hostname = format!("doctor.{}", cluster.domain);
    findings.push(match tokio::net::lookup_host((hostname.as_str(), 443)).await {
        Ok(mut found) => match found.next() {
            Some(address) => Finding::passed("dns", format!("{hostname} is {}", address.ip())),
            None => {
                Finding::skipped("dns", format!("{hostname} has no address here; use curl --resolve or --connect-to"))
            }
        },
        Err(error) => Finding::skipped("dns", format!("{hostname}: {error}; use curl --resolve or --connect-to")),
    });
    findings
}
