//! Pure. KV namespaces, tokens and certificates.
//!
//! **Owns** their rules. **Must not know** entries, token texts and X.509. **Enter at** [`Step::create_namespace`].

use std::sync::Arc;

use skerry_proto::id::{AccountId, CertificateId, NamespaceId, NodeId, TokenId};

use super::{Step, config::check_text, limits};
use crate::catalog::{Certificate, EnvironmentKey, Namespace, Noun, Rejection, Scope, SealScope, Token, effective};

impl Step {
    pub(super) fn create_namespace(
        &mut self,
        account: &AccountId,
        id: &NamespaceId,
        title: &str,
        home: NodeId,
    ) -> Result<(), Rejection> {
        self.known_account(account)?;
        self.free_title(account, id, title)?;
        self.check_home(home)?;
        if self.catalog.namespaces.contains_key(id) {
            return Err(Rejection::exists(Noun::Namespace, id));
        }
        if self.catalog.namespaces(account).count() >= limits::NAMESPACES_MAX {
            let rule = format!("an account has at most {} namespaces", limits::NAMESPACES_MAX);
            return Err(Rejection::invalid("title", rule));
        }
        let (account, title_kept) = (account.clone(), title.to_owned());
        let namespace = Namespace { id: id.clone(), account, title: title_kept, created_at_ms: self.at_ms, home };
        self.catalog.namespaces.insert(id.clone(), Arc::new(namespace));
        self.log("kv_namespace.create", title, [("id", id.to_string()), ("home", home.to_string())]);
        Ok(())
    }

    pub(super) fn rename_namespace(
        &mut self,
        account: &AccountId,
        id: &NamespaceId,
        title: &str,
    ) -> Result<(), Rejection> {
        self.free_title(account, id, title)?;
        let found = self.catalog.namespaces.get_mut(id).filter(|found| found.account == *account);
        let found = Arc::make_mut(found.ok_or_else(|| Rejection::not_found(Noun::Namespace, id))?);
        let from = std::mem::replace(&mut found.title, title.to_owned());
        self.log("kv_namespace.rename", title, [("id", id.to_string()), ("from", from)]);
        Ok(())
    }

    pub(super) fn delete_namespace(&mut self, account: &AccountId, id: &NamespaceId) -> Result<(), Rejection> {
        let found = self.catalog.namespaces.get(id).filter(|found| found.account == *account);
        let found = found.ok_or_else(|| Rejection::not_found(Noun::Namespace, id))?;
        let (title, home) = (found.title.clone(), found.home);
        if let Some(user) = self.namespace_user(account, id) {
            return Err(Rejection::InUse {
                noun: Noun::Namespace,
                name: title,
                by: format!("the live version of {user}"),
            });
        }
        self.catalog.namespaces.remove(id);
        let (action, detail) = Namespace::DELETED;
        self.log(action, &title, [("id", id.to_string()), (detail, home.to_string())]);
        Ok(())
    }

    pub(super) fn create_token(&mut self, token: &Token) -> Result<(), Rejection> {
        token.account.iter().try_for_each(|account| self.known_account(account))?;
        check_text("name", &token.name)?;
        if token.scopes.is_empty() {
            return Err(Rejection::invalid("scopes", "name at least one scope"));
        }
        if token.expires_at_ms.is_some_and(|expires| expires <= self.at_ms) {
            return Err(Rejection::invalid("expires_on", "use a time in the future"));
        }
        if self.catalog.tokens.len() >= limits::TOKENS_MAX {
            return Err(Rejection::invalid("name", format!("a cluster has at most {} tokens", limits::TOKENS_MAX)));
        }
        if self.catalog.tokens.contains_key(&token.id) || self.catalog.token_hashes.contains_key(&token.hash) {
            return Err(Rejection::exists(Noun::Token, &token.id));
        }
        self.catalog.token_hashes.insert(token.hash, token.id.clone());
        self.catalog.tokens.insert(token.id.clone(), Arc::new(token.clone()));
        let scopes: Vec<String> = token.scopes.iter().map(ToString::to_string).collect();
        self.log("token.create", &token.name, [("id", token.id.to_string()), ("scopes", scopes.join(" "))]);
        Ok(())
    }

    pub(super) fn revoke_token(&mut self, account: Option<&AccountId>, id: &TokenId) -> Result<(), Rejection> {
        let found = self.catalog.tokens.get(id).filter(|token| token.account.as_ref() == account);
        let token = Arc::clone(found.ok_or_else(|| Rejection::not_found(Noun::Token, id))?);
        let is_admin = |token: &Token| {
            token.account.is_none() && token.scopes.contains(&Scope::ADMIN) && token.is_current(self.at_ms)
        };
        let others = self.catalog.tokens.values().filter(|other| other.id != *id);
        if is_admin(&token) && !others.into_iter().any(|other| is_admin(other)) {
            let by = "the cluster: it is the last token that may do everything; create another first".to_owned();
            return Err(Rejection::InUse { noun: Noun::Token, name: token.name.clone(), by });
        }
        self.catalog.tokens.remove(id);
        self.catalog.token_hashes.remove(&token.hash);
        self.log("token.revoke", &token.name, [("id", id.to_string())]);
        Ok(())
    }

    pub(super) fn put_certificate(&mut self, certificate: &Certificate) -> Result<(), Rejection> {
        if certificate.names.is_empty() || certificate.chain.is_empty() {
            return Err(Rejection::invalid("certificate", "a certificate has a name and a chain"));
        }
        if certificate.key.scope != SealScope::certificate(&certificate.id) {
            return Err(Rejection::invalid("private_key", "the key was sealed for another certificate"));
        }
        let old = self.catalog.certificates.get(&certificate.id);
        if old.is_some_and(|old| old.account != certificate.account) {
            return Err(Rejection::exists(Noun::Certificate, &certificate.id));
        }
        self.catalog.certificates.insert(certificate.id.clone(), Arc::new(certificate.clone()));
        self.log("certificate.put", certificate.names.join(", "), [("id", certificate.id.to_string())]);
        Ok(())
    }

    pub(super) fn remove_certificate(&mut self, id: &CertificateId) -> Result<(), Rejection> {
        let Some(gone) = self.catalog.certificates.remove(id) else {
            return Err(Rejection::not_found(Noun::Certificate, id));
        };
        self.log("certificate.remove", gone.names.join(", "), [("id", id.to_string())]);
        Ok(())
    }

    fn free_title(&self, account: &AccountId, id: &NamespaceId, title: &str) -> Result<(), Rejection> {
        check_text("title", title)?;
        let taken = |namespace: &&Arc<Namespace>| namespace.title == title && namespace.id != *id;
        match self.catalog.namespaces(account).find(taken) {
            Some(_) => Err(Rejection::exists(Noun::Namespace, title)),
            None => Ok(()),
        }
    }

    /// A cluster that has never had a mesh lists no nodes, and is its first one.
    fn check_home(&self, home: NodeId) -> Result<(), Rejection> {
        let is_alone = self.catalog.nodes.is_empty() && home == Namespace::FIRST_HOME;
        match is_alone || self.catalog.nodes.contains_key(&home) {
            true => Ok(()),
            false => Err(Rejection::not_found(Noun::Node, home)),
        }
    }

    /// The first environment whose live version binds the namespace, by inheritance too.
    fn namespace_user(&self, account: &AccountId, id: &NamespaceId) -> Option<EnvironmentKey> {
        let services = self.catalog.services(account);
        let mut all = services.flat_map(|service| {
            service.environments.values().map(move |found| (service.key.environment(found.name.clone()), found))
        });
        all.find_map(|(key, found)| {
            let live = found.live()?;
            let versions = live.shares.iter().filter_map(|share| found.version(&share.version));
            let mut users = versions.map(|version| effective(&self.catalog, &key, version));
            users.any(|effective| effective.namespaces().any(|bound| bound == id)).then_some(key)
        })
    }
}
