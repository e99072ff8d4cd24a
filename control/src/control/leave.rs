//! What a voter must not take with it.
//!
//! **Owns** how long the others may take to get the code that they lack. **Must not know** who asks. **Enter at**
//! [`Control::rare_without`].

use std::time::Duration;

use skerry_proto::id::NodeId;

use super::Control;
use crate::peer::holdings::Holdings;

/// BOUND: how long a call waits for voters to fetch code; less than its client waits.
const PATIENCE: Duration = Duration::from_secs(10);

impl Control {
    /// Waits until a majority of the voters that are left without `leaver` has the code of every version, for some seconds at
    /// most. Returns how many bundles fewer of them have then. Voters fetch what they lack by themselves.
    pub(crate) async fn rare_without(&self, leaver: NodeId) -> usize {
        let Some(mesh) = &self.mesh else { return 0 };
        let catalog = self.catalog();
        let holdings = Holdings { mesh, bundles: &self.bundles, catalog: &catalog };
        holdings.without(leaver, PATIENCE).await
    }
}
