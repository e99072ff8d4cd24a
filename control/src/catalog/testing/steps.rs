//! Pure. Arbitrary commands, in sequences that mean something often enough.
//!
//! **Owns** what laws are tried on. **Must not know** the laws. **Enter at** [`steps`] and [`Lab::choose`].

use proptest::prelude::*;

use super::*;

const SERVICES: [&str; 3] = ["shop", "cart", "tenant"];
const ENVIRONMENTS: [&str; 4] = ["production", "staging", "dev", "shop"];
const NODES: [&str; 3] = ["n1", "n2", "n3"];

/// What a step does, and three choices within it.
pub(in crate::catalog) type Choice = (u8, usize, usize, usize);

/// Sequences of commands, each of one or two changes.
pub(in crate::catalog) fn steps() -> impl Strategy<Value = Vec<Vec<Choice>>> {
    let choice = (0..35_u8, 0..SERVICES.len(), 0..ENVIRONMENTS.len(), 0..ENVIRONMENTS.len());
    prop::collection::vec(prop::collection::vec(choice, 1..3), 0..60)
}

impl Lab {
    /// The change that a choice means in this catalog.
    pub(in crate::catalog) fn choose(&mut self, choice: Choice) -> Change {
        match choice.0 {
            ..19 => self.choose_service(choice),
            _ => self.choose_node(choice),
        }
    }

    fn choose_service(&mut self, (what, service, environment, other): Choice) -> Change {
        let (name, at, to) = (SERVICES[service], ENVIRONMENTS[environment], ENVIRONMENTS[other]);
        let key = self.environment(name, at);
        let live =
            self.catalog.environment(&key).and_then(|found| found.latest_version()).map(|found| found.id.clone());
        let sealed = |lab: &Self| match lab.catalog.environment(&key) {
            Some(_) => lab.secret(name, at, "KEY", "s"),
            None => text("none"),
        };
        match what {
            0 | 1 => self.create_service(name),
            2 => Change::RenameService { service: self.service(name), to: self.service(SERVICES[other % 3]).name },
            3 => Change::DeleteService { service: self.service(name), bound: WhenBound::Refuse },
            4 | 5 => self.create_environment(name, at, None),
            6 => {
                let clone = self.clone_of(to);
                self.create_environment(name, at, Some(clone))
            }
            7 => Change::RenameEnvironment { environment: key, to: self.environment(name, to).environment },
            8 => Change::DeleteEnvironment {
                environment: key,
                bound: if other == 0 { WhenBound::Delete } else { WhenBound::Refuse },
            },
            9 => Change::SetParent { environment: key, parent: EnvironmentName::new(to).unwrap() },
            10 | 11 => {
                let version = self.new_version(&[("A", text(at)), (to, text(to)), ("KEY", sealed(self))]);
                Change::UploadVersion { environment: key, version }
            }
            12 | 13 => {
                let version = live.unwrap_or_else(|| self.version_id());
                self.deploy_change(&key, &version)
            }
            14 => self.configure(name, at, vec![set(to, text(at)), ConfigEdit::Remove { name: at.to_owned() }]),
            15 => self.promote(name, at, to),
            16 => self.put_route(&format!("{to}.example/{at}*"), Some(key)),
            17 => self.create_namespace(to).1,
            _ => Change::MoveService { service: self.service(SERVICES[other % 3]), to: key },
        }
    }

    fn choose_node(&mut self, (what, first, second, third): Choice) -> Change {
        let name = NODES[first];
        let id = self.catalog.node_by_name(name).map_or(NodeId(7), |node| node.id);
        let tokens: Vec<_> = self.catalog.join_tokens().cloned().collect();
        let token = tokens.get(third % tokens.len().max(1));
        match what {
            19 | 20 => self.new_node(name, Admission::Founder),
            21..=24 => {
                let admission = token.map_or(Admission::Founder, |token| Admission::Token(token.hash));
                let role = if second == 0 { NodeRole::Voter } else { NodeRole::Edge };
                let level = if third == 0 { 2 } else { 1 };
                edit_node(self.new_node(name, admission), |node| {
                    (node.role, node.feature_level) = (role, level);
                })
            }
            25 => {
                let feature_level = u32::try_from(second).unwrap();
                Change::UpdateNode(NodeUpdate { feature_level, ..self.node_update(id, third as u64) })
            }
            26 => Change::SetNodeRole { id, role: if second < 2 { NodeRole::Voter } else { NodeRole::Edge } },
            27 => Change::SetNodeState { id, state: if second < 2 { NodeState::Draining } else { NodeState::Active } },
            28 => Change::RemoveNode { id, voter: if second < 2 { WhenVoter::Remove } else { WhenVoter::Refuse } },
            29..=31 => {
                let role = [None, Some(NodeRole::Voter), Some(NodeRole::Edge)][first];
                self.new_join_token(role, u32::try_from(second).unwrap(), 8 * i64::try_from(third).unwrap())
            }
            32 => {
                Change::RevokeJoinToken { id: token.map_or_else(|| hex_id(TokenId::new, 0), |token| token.id.clone()) }
            }
            33 => {
                let authorities = NODES[..first].iter().map(|name| authority(name)).collect();
                let replaces = NODES.iter().take(second).map(|name| authority(name).fingerprint()).collect();
                Change::SetMeshAuthorities { authorities, replaces }
            }
            _ => Change::SetFeatureLevel { level: u32::try_from(second).unwrap() },
        }
    }
}
