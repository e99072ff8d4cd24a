//! Measures how many changes one node agrees on in a second, fsync on.
//!
//! `cargo run --release -p skerry-control --example propose -- DIR` proposes 20 000 small changes from 64 tasks.

use std::{env, error::Error, path::PathBuf};

use skerry_control::{
    catalog::{Actor, Change, Command, ConfigEdit},
    clock,
    config::{Bootstrap, ControlConfig},
    control::{Control, build},
    mint,
};
use skerry_proto::id::{EnvironmentName, Hostname, ServiceName};

const PROPOSERS: usize = 64;
const CHANGES: usize = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = env::args().nth(1).ok_or("name an empty directory")?.into();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(folder))
}

async fn measure(folder: PathBuf) -> Result<(), Box<dyn Error>> {
    let domain = Hostname::new("workers.localhost")?;
    let control = build(ControlConfig::new(folder, "bench".to_owned(), domain, Bootstrap::IfEmpty)).await?;
    let account = control.catalog().first_account().ok_or("bootstrap makes an account")?.clone();
    let service = skerry_control::catalog::ServiceKey { account, name: ServiceName::new("bench")? };
    let create =
        Change::CreateService { service: service.clone(), id: mint::service_id(), production: mint::environment_id() };
    control.propose(Command::new(Actor::node("bench"), clock::unix_ms(), vec![create])).await?;
    let environment = service.environment(EnvironmentName::production());
    let began = clock::monotonic();
    let proposers = (0..PROPOSERS).map(|at| {
        let (control, environment) = (control.clone(), environment.clone());
        skerry_control::task::spawn("proposer", async move {
            for _ in 0..CHANGES / PROPOSERS {
                let name = format!("VALUE_{at}");
                let binding = skerry_control::catalog::Binding::PlainText("x".repeat(100));
                propose(&control, &environment, ConfigEdit::Set { name, binding }).await?;
            }
            Ok::<(), skerry_control::error::ProposeError>(())
        })
    });
    for proposer in proposers.collect::<Vec<_>>() {
        proposer.await??;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{CHANGES} changes in {seconds:.2} s: {:.0} a second", CHANGES as f64 / seconds);
    control.shutdown().await;
    Ok(())
}

async fn propose(
    control: &Control,
    environment: &skerry_control::catalog::EnvironmentKey,
    edit: ConfigEdit,
) -> Result<(), skerry_control::error::ProposeError> {
    let change = Change::Configure {
        environment: environment.clone(),
        base: skerry_control::catalog::Base::Live,
        edits: vec![edit],
        version: mint::version_id(),
        deployment: None,
        shared: skerry_control::catalog::WhenShared::Replace,
        annotations: skerry_control::catalog::Annotations::default(),
        source: "bench".to_owned(),
    };
    control.propose(Command::new(Actor::node("bench"), clock::unix_ms(), vec![change])).await?;
    Ok(())
}
