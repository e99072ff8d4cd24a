//! A project deployed to a real node. `SKERRY_NODE_BIN` names the program; the workspace's test run sets it.
