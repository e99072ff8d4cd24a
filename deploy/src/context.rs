//! What every command needs: flags, project, API, output.
//!
//! **Owns** where each setting comes from: flag, environment variable, `~/.config/skerry/config.toml`, default. **Must
//! not know** commands. **Enter at** [`Context`].

mod user;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use skerry_proto::id::{EnvironmentName, ServiceName};

use self::user::UserConfig;
use crate::client::path::EnvironmentPath;
use crate::client::{Client, ClientConfig};
use crate::exit::Usage;
use crate::output::Output;
use crate::project::Project;

/// Where `skerry-node` serves its API unless told otherwise.
const DEFAULT_API: &str = "http://127.0.0.1:8700";

/// Flags of every command, accepted before and after it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The API of any node [env: SKERRY_API] [default: http://127.0.0.1:8700]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) api: Option<String>,
    /// The API token [env: SKERRY_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", conflicts_with = "token_file")]
    pub(crate) token: Option<String>,
    /// A file that holds the API token [env: SKERRY_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The cluster's CA (its ca.pem), trusted beside the public ones [env: SKERRY_CA]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The account, when the token sees several [env: SKERRY_ACCOUNT]
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) account: Option<String>,
    /// Seconds that one answer may take [default: 60, uploads 300]
    #[arg(long, global = true, value_name = "SECONDS")]
    pub(crate) timeout: Option<f64>,
    /// The environment [default: production]
    #[arg(long, short, global = true, value_name = "ENV")]
    pub(crate) env: Option<String>,
    /// The service, instead of the project file's
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// The project file [default: wrangler.json, .jsonc or .toml here or above]
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Answer every question with yes
    #[arg(long, short, global = true)]
    pub(crate) yes: bool,
}

/// One run of the command line.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) out: Output,
    pub(crate) global: Global,
    /// A node of our own, which stands above every setting.
    node: Option<ClientConfig>,
    client: tokio::sync::OnceCell<Client>,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        Self { out: Output::new(global.json, global.yes), global, node: None, client: tokio::sync::OnceCell::new() }
    }

    /// The same command line, talking to a node of our own whatever the settings say.
    pub(crate) fn at_node(&self, api: String, token: String, ca: PathBuf) -> anyhow::Result<Self> {
        let (token, ca, timeout) = (Some(token), Some(ca), self.timeout()?);
        let node = Some(ClientConfig { api, token, ca, timeout, account: None, preferred_account: None });
        Ok(Self { out: self.out, global: self.global.clone(), node, client: tokio::sync::OnceCell::new() })
    }

    /// The API; built at the first use, so that commands without one need no settings.
    pub(crate) async fn client(&self) -> anyhow::Result<&Client> {
        let build = || async { Ok(Client::build(self.client_config()?)?) };
        self.client.get_or_try_init(build).await
    }

    /// The project file given by `--config` or found here or above.
    pub(crate) fn project(&self) -> anyhow::Result<Option<Project>> {
        let path = match &self.global.config {
            Some(path) => path.clone(),
            None => match Project::find(&std::env::current_dir()?) {
                Some(path) => path,
                None => return Ok(None),
            },
        };
        Ok(Some(Project::load(&shorten(&path))?))
    }

    /// `--service`, if given.
    pub(crate) fn given_service(&self) -> anyhow::Result<Option<ServiceName>> {
        let parse = |name: &String| ServiceName::new(name).map_err(|error| Usage(format!("--service: {error}")));
        Ok(self.global.service.as_ref().map(parse).transpose()?)
    }

    /// The service: `--service`, else the project file's.
    pub(crate) fn service(&self) -> anyhow::Result<ServiceName> {
        if let Some(service) = self.given_service()? {
            return Ok(service);
        }
        let project = self.project()?;
        let missing = "no service: give --service NAME, or run this beside a project file that has a name";
        Ok(project.and_then(|project| project.file.name).ok_or_else(|| Usage(missing.to_owned()))?)
    }

    /// The environment: `--env`, else production.
    pub(crate) fn environment(&self) -> anyhow::Result<EnvironmentName> {
        match &self.global.env {
            None => Ok(EnvironmentName::production()),
            Some(name) => environment(name),
        }
    }

    /// Where the API keeps the environment that this run is about.
    pub(crate) async fn environment_path(&self) -> anyhow::Result<EnvironmentPath> {
        self.path_of(self.environment()?).await
    }

    /// Where the API keeps another environment of the service that this run is about.
    pub(crate) async fn path_of(&self, environment: EnvironmentName) -> anyhow::Result<EnvironmentPath> {
        let service = self.service()?;
        Ok(EnvironmentPath { account: self.client().await?.account().await?.to_owned(), service, environment })
    }

    fn client_config(&self) -> anyhow::Result<ClientConfig> {
        if let Some(node) = &self.node {
            return Ok(node.clone());
        }
        let user = user_config()?;
        let token_file = self.global.token_file.clone().or_else(|| variable("SKERRY_TOKEN_FILE").map(PathBuf::from));
        let token = match (&self.global.token, token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) if self.global.token_file.is_some() => Some(token_in(&path)?),
            (None, path) => match (variable("SKERRY_TOKEN"), path, user.token, user.token_file) {
                (Some(token), ..) => Some(token),
                (None, Some(path), ..) => Some(token_in(&path)?),
                (None, None, Some(token), _) => Some(token),
                (None, None, None, Some(path)) => Some(token_in(&path)?),
                (None, None, None, None) => None,
            },
        };
        let api = self.global.api.clone().or_else(|| variable("SKERRY_API")).or(user.api);
        Ok(ClientConfig {
            api: api.unwrap_or_else(|| DEFAULT_API.to_owned()),
            token,
            ca: self.global.ca.clone().or_else(|| variable("SKERRY_CA").map(PathBuf::from)).or(user.ca),
            timeout: self.timeout()?,
            account: self.global.account.clone().or_else(|| variable("SKERRY_ACCOUNT")).or(user.account),
            preferred_account: self.project_account(),
        })
    }

    fn timeout(&self) -> anyhow::Result<Option<Duration>> {
        let Some(seconds) = self.global.timeout else { return Ok(None) };
        match Duration::try_from_secs_f64(seconds) {
            Ok(timeout) if !timeout.is_zero() => Ok(Some(timeout)),
            _ => Err(Usage(format!("--timeout {seconds}: must be more than 0 seconds")).into()),
        }
    }

    /// The project file's `account_id`. Whatever else is wrong with the file is for the commands that use it to say.
    fn project_account(&self) -> Option<String> {
        let account = self.project().ok()??.file.account_id?;
        Some(account.to_string())
    }
}

/// Reads an environment's name from the command line.
pub(crate) fn environment(name: &str) -> anyhow::Result<EnvironmentName> {
    EnvironmentName::new(name).map_err(|error| Usage(error.to_string()).into())
}

/// Where the user's own settings lie: `$XDG_CONFIG_HOME/skerry/config.toml` or `~/.config/skerry/config.toml`.
pub(crate) fn user_config_path() -> Option<PathBuf> {
    let base = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let base = base.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(base.join("skerry/config.toml"))
}

fn user_config() -> anyhow::Result<UserConfig> {
    let Some(path) = user_config_path().filter(|path| path.is_file()) else { return Ok(UserConfig::default()) };
    let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(UserConfig::read(&text).map_err(|why| Usage(format!("{}: {why}", path.display())))?)
}

fn token_in(path: &Path) -> anyhow::Result<String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Usage(format!("token file {}: {error}", path.display())))?;
    Ok(text.trim().to_owned())
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Relative where it lies below here, so that messages stay short.
fn shorten(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).map_or_else(|_| path.to_owned(), Path::to_owned)
}
