//! How to reach the broker.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use clap::Args;

use crate::backoff::Backoff;

/// The broker, as options of a command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "NATS")]
pub struct NatsOptions {
    /// Where nats-server listens; several, separated by commas, for a cluster.
    #[arg(
        long = "nats",
        env = "AUTOTILER_NATS",
        default_value = "nats://127.0.0.1:4222",
        value_name = "URL",
        value_delimiter = ','
    )]
    pub urls: Vec<ServerUrl>,
    /// Who may have signed the certificate of a server at tls://HOST:PORT (PEM); without it, the system's authorities.
    #[arg(long = "nats-ca", env = "AUTOTILER_NATS_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A NATS credentials file (JWT and seed); `autotiler device add` makes one for a device.
    #[arg(
        long = "nats-credentials",
        env = "AUTOTILER_NATS_CREDENTIALS",
        value_name = "FILE",
        conflicts_with_all = ["token", "user"]
    )]
    pub credentials: Option<PathBuf>,
    /// A NATS token.
    #[arg(
        long = "nats-token",
        env = "AUTOTILER_NATS_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        conflicts_with = "user"
    )]
    pub token: Option<Secret>,
    /// A NATS user.
    #[arg(long = "nats-user", env = "AUTOTILER_NATS_USER", value_name = "NAME", requires = "password")]
    pub user: Option<String>,
    /// The password of the NATS user.
    #[arg(
        long = "nats-password",
        env = "AUTOTILER_NATS_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true,
        requires = "user"
    )]
    pub password: Option<Secret>,
}

/// How to connect, and how much may wait in the client.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Servers, tried in random order.
    pub urls: Vec<ServerUrl>,
    /// Name of this client in the broker's monitoring.
    pub name: String,
    /// Who we are.
    pub auth: Auth,
    /// Who may have signed the servers' certificates (PEM); without it, the system's authorities.
    pub ca: Option<PathBuf>,
    /// Messages that may wait in one subscription; more are lost and counted as slow-consumer losses.
    pub subscription_capacity: usize,
    /// How often to ask whether a silent link lives. It is given up when three go without an answer.
    pub ping_interval: Duration,
    /// How long one try to connect may take.
    pub connect_timeout: Duration,
    /// Waits between tries.
    pub backoff: Backoff,
}

/// How the broker knows us.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    Anonymous,
    /// By a token.
    Token(Secret),
    /// By name and password.
    UserPassword {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// By a credentials file, read at each start.
    CredentialsFile(PathBuf),
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A checked server address, `nats://HOST:PORT` or `tls://HOST:PORT`.
#[derive(Debug, Clone)]
pub struct ServerUrl(async_nats::ServerAddr);

/// Why a text is no server address.
#[derive(Debug, thiserror::Error)]
#[error("NATS address {url:?} is not of the form nats://HOST:PORT")]
pub struct BadServerUrl {
    url: String,
    #[source]
    source: std::io::Error,
}

impl NatsOptions {
    /// Options of a connection that calls itself `name`.
    pub fn connect_options(&self, name: impl Into<String>) -> ConnectOptions {
        let auth = match (&self.credentials, &self.token, &self.user, &self.password) {
            (Some(path), ..) => Auth::CredentialsFile(path.clone()),
            (None, Some(token), ..) => Auth::Token(token.clone()),
            (None, None, Some(user), Some(password)) => {
                Auth::UserPassword { user: user.clone(), password: password.clone() }
            }
            _ => Auth::Anonymous,
        };
        ConnectOptions { auth, ca: self.ca.clone(), ..ConnectOptions::new(self.urls.clone(), name) }
    }
}

impl ConnectOptions {
    /// Anonymous access to `urls` with the usual bounds.
    pub fn new(urls: Vec<ServerUrl>, name: impl Into<String>) -> Self {
        Self {
            urls,
            name: name.into(),
            auth: Auth::Anonymous,
            ca: None,
            subscription_capacity: 256,
            ping_interval: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(2),
            backoff: Backoff::default(),
        }
    }
}

impl ConnectOptions {
    /// Ports of the servers.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.urls.iter().map(|url| url.0.port()).collect()
    }
}

impl Secret {
    /// The text itself, for handing to the client library.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl ServerUrl {
    pub(crate) fn address(&self) -> async_nats::ServerAddr {
        self.0.clone()
    }
}

impl FromStr for ServerUrl {
    type Err = BadServerUrl;
    fn from_str(url: &str) -> Result<Self, BadServerUrl> {
        let bad = |source| BadServerUrl { url: url.to_owned(), source };
        let address: async_nats::ServerAddr = url.trim().parse().map_err(bad)?;
        if address.host().is_empty() {
            return Err(bad(std::io::Error::new(std::io::ErrorKind::InvalidInput, "no host")));
        }
        Ok(Self(address))
    }
}

impl fmt::Display for ServerUrl {
    /// Without any password that the address may hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.host(), self.0.port())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        nats: NatsOptions,
    }

    fn parse(arguments: &[&str]) -> Result<NatsOptions, clap::Error> {
        Command::try_parse_from([&["x"], arguments].concat()).map(|command| command.nats)
    }

    #[test]
    fn secrets_are_not_printed() {
        let options = parse(&["--nats-user", "edge", "--nats-password", "hunter2"]).unwrap();
        assert!(!format!("{options:?}").contains("hunter2"));
        let Auth::UserPassword { user, password } = options.connect_options("edge").auth else {
            panic!("user and password expected")
        };
        assert_eq!((user.as_str(), password.reveal()), ("edge", "hunter2"));
    }

    #[test]
    fn half_a_login_or_a_bad_address_is_refused() {
        assert!(parse(&["--nats-user", "edge"]).is_err());
        assert!(parse(&["--nats-token", "t", "--nats-user", "edge", "--nats-password", "p"]).is_err());
        assert!(parse(&["--nats", "nats://"]).is_err());
        assert!(parse(&["--nats", "http://localhost"]).is_err());
    }

    #[test]
    fn several_servers_make_a_cluster() {
        let options = parse(&["--nats", "nats://a:4222,nats://b:4223"]).unwrap();
        let shown: Vec<_> = options.urls.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a:4222", "b:4223"]);
    }
}
