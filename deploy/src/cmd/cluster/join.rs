//! `skerry cluster join-token`
//!
//! **Owns** how a new machine is told to join. **Must not know** how it joins. **Enter at** [`run`].

use clap::{Args, ValueEnum};
use serde_json::json;

use super::nodes;
use crate::client::{Call, model};
use crate::context::Context;
use crate::output::time;

#[derive(Debug, Args)]
pub(crate) struct JoinTokenArgs {
    /// The most that it admits: edges only, or voters too [default: voters too]
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// How many machines it admits
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    uses: u32,
    /// How long it is good, such as 90s, 30m, 1h or 7d
    #[arg(long, default_value = "1h", value_parser = seconds)]
    ttl: u32,
    /// What it is for
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Voter,
    Edge,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Edge => "edge",
        }
    }
}

pub(super) async fn run(context: &Context, args: JoinTokenArgs) -> anyhow::Result<()> {
    let client = context.client().await?;
    // Before the token is made, which is shown once: whoever may not see the nodes has not made one for nothing.
    let nodes = nodes(client).await?.result;
    let role = args.role.map(Role::as_str);
    let body = json!({ "role": role, "uses": args.uses, "ttl_seconds": args.ttl, "name": args.name });
    let made = client.send::<model::JoinToken>(Call::post(["cluster", "join-tokens"]).json(body)).await?;
    let command = command(&nodes, role);
    let mut document = made.raw;
    document["command"] = json!(command);
    context.out.document(&document);
    let machines = if args.uses == 1 { "one machine".to_owned() } else { format!("{} machines", args.uses) };
    context.out.note(format!("This admits {machines} until {}. It is shown this once:", time(&made.result.expires_on)));
    context.out.line(made.result.token);
    if !context.out.is_json() {
        context.out.note(format!(
            "\nOn the new machine, with the token in {FILE} (HERE is its own name or address):\n\n  {command}"
        ));
    }
    Ok(())
}

const FILE: &str = "join.token";

/// The command that makes a machine a node. Only there is it known by which address the others reach it.
fn command(nodes: &[model::Node], role: Option<&str>) -> String {
    let address = address(nodes).unwrap_or("HOST:PORT");
    let port = address.rsplit_once(':').map_or("PORT", |(_, port)| port);
    let role = role.map(|role| format!(" --role {role}")).unwrap_or_default();
    format!("skerry-node --join {address} --join-token-file {FILE}{role} --mesh 0.0.0.0:{port} --mesh-advertise HERE")
}

/// Where the new machine knocks: at the leader, else at a voter, else at whoever is there.
fn address(nodes: &[model::Node]) -> Option<&str> {
    let there = nodes.iter().filter(|node| !node.address.is_empty() && node.alive != Some(false));
    let rank = |node: &&model::Node| match (node.raft.as_deref(), node.role.as_str()) {
        (Some("leader"), _) => 0,
        (Some("voter"), _) => 1,
        (_, "voter") => 2,
        _ => 3,
    };
    there.min_by_key(rank).map(|node| node.address.as_str())
}

/// A length of time in seconds: `90`, `90s`, `30m`, `1h`, `7d`.
fn seconds(text: &str) -> Result<u32, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let (Some(unit), Ok(number)) = (unit, digits.parse::<u32>()) else {
        return Err("use a number with s, m, h or d, such as 1h".to_owned());
    };
    match number.checked_mul(unit) {
        Some(seconds @ 60..=2_592_000) => Ok(seconds),
        _ => Err("use 1m to 30d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, role: &str, raft: Option<&str>, alive: Option<bool>) -> model::Node {
        model::Node {
            name: name.to_owned(),
            role: role.to_owned(),
            raft: raft.map(str::to_owned),
            alive,
            address: format!("{name}:7000"),
            ..model::Node::default()
        }
    }

    #[test]
    fn a_machine_knocks_at_the_leader_or_at_whoever_is_there() {
        let edge = node("e", "edge", None, Some(true));
        let voter = node("v", "voter", Some("voter"), None);
        let leader = node("l", "voter", Some("leader"), Some(true));
        let lost = node("x", "voter", Some("leader"), Some(false));
        let off = model::Node { address: String::new(), ..leader.clone() };
        let at = |nodes: &[&model::Node]| {
            let nodes: Vec<_> = nodes.iter().map(|node| (*node).clone()).collect();
            address(&nodes).map(str::to_owned)
        };
        assert_eq!(at(&[&edge, &voter, &leader]).as_deref(), Some("l:7000"));
        assert_eq!(at(&[&edge, &voter, &lost, &off]).as_deref(), Some("v:7000"));
        assert_eq!(at(&[&edge, &lost]).as_deref(), Some("e:7000"));
        assert_eq!(at(&[&lost, &off]), None);
    }

    #[test]
    fn lengths_of_time_are_read_with_their_unit() {
        let read: Vec<_> =
            ["90", "90s", "30m", "1h", "7d", "30d"].map(seconds).into_iter().map(Result::unwrap).collect();
        assert_eq!(read, [90, 90, 1800, 3600, 604_800, 2_592_000]);
        for wrong in ["", "h", "1w", "-1h", "1.5h", "59s", "31d", "4294967295d", "1 h", "€"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
