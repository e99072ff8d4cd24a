//! Promotions into an environment whose versions were all uploaded and never deployed.
//!
//! **Owns** that such a target keeps its variables, secrets and bindings too. **Must not know** HTTP. **Enter at**
//! [`changes`].
//!
//! [`Change::Promote`] takes the target's live configuration, or the draft, which the first upload took over. It goes on so,
//! because what a log says must come out the same whichever build reads it. So here the same promotion is an upload with the
//! latest version's configuration, and its deployment.

use std::collections::BTreeMap;

use crate::catalog::{Annotations, Base, Catalog, Change, Expectation, Guard, Keep, NewDeployment, NewVersion, Share};

/// What made it, as the catalog says it of a promotion.
const SOURCE: &str = "promote";

/// The promotion in other words, and what they rely on; `None` where the promotion itself does what is meant, or is refused
/// with a reason.
pub(super) fn changes(catalog: &Catalog, promote: &Change) -> Option<(Expectation, [Change; 2])> {
    let Change::Promote { source, target, version, new_version, deployment, annotations, guard } = promote else {
        return None;
    };
    let service = catalog.service(&source.service)?;
    let to = service.environment(target).filter(|to| to.live().is_none())?;
    let latest = to.latest_version()?;
    let promoted = service.environment(&source.environment)?.version(version.as_ref()?)?;
    let skipped = service.pipeline.as_ref().is_some_and(|pipeline| !pipeline.allows(&source.environment, target));
    if source.environment == *target || (skipped && *guard == Guard::Enforce) {
        return None;
    }
    let from = format!("{}@{}", source.environment, promoted.number);
    let annotations = annotated(annotations, from, skipped);
    let key = source.service.environment(target.clone());
    let version = NewVersion {
        id: new_version.clone(),
        code: promoted.code.clone(),
        bindings: latest.config.bindings.clone(),
        removed: latest.config.removed.clone(),
        limits: latest.config.limits,
        keep: Keep::default(),
        base: Base::Latest,
        annotations: annotations.clone(),
        source: SOURCE.to_owned(),
    };
    let deployment = NewDeployment {
        id: deployment.clone(),
        shares: vec![Share::all(new_version.clone())],
        annotations,
        source: SOURCE.to_owned(),
    };
    // Of the service, whose pipeline was asked here: the catalog does not ask it of an upload.
    let expectation = Expectation::ServiceUnchanged { service: source.service.clone(), revision: service.revision };
    let upload = Change::UploadVersion { environment: key.clone(), version };
    Some((expectation, [upload, Change::Deploy { environment: key, deployment }]))
}

/// As the catalog annotates a promotion. The audit log shows a deployment's message, so it says what was promoted, and that
/// the pipeline's order was skipped.
fn annotated(given: &Annotations, from: String, skipped: bool) -> Annotations {
    let mut message = match given.text(Annotations::MESSAGE) {
        "" => format!("Promoted {from}"),
        given => given.to_owned(),
    };
    if skipped {
        message.push_str(" (the pipeline's order was skipped)");
    }
    let mut entries = BTreeMap::from([
        (Annotations::TRIGGERED_BY.to_owned(), SOURCE.to_owned()),
        ("skerry/promoted_from".to_owned(), from),
    ]);
    entries.extend(given.entries.clone());
    entries.insert(Annotations::MESSAGE.to_owned(), message);
    Annotations { entries }
}
