//! What a client and an API server of one test need to trust each other.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use kube::{Config, config::AuthInfo};
use serde_json::json;

/// The name that the server's certificate is for; also stands in it as an address.
const SERVER: &str = "127.0.0.1";

/// May do anything.
const GROUP: &str = "system:masters";

/// The secret of the only user. It opens nothing but a server on the loopback that lives as long as a test.
const TOKEN: &str = "of-this-test-alone";

/// Why keys could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A key or a certificate.
    #[error("making keys for the API server")]
    Make(#[from] rcgen::Error),
    /// A file.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// An address that is no URL.
    #[error("making the URL of the API server")]
    Url(#[from] http::uri::InvalidUri),
}

/// Files with keys in one folder.
#[derive(Debug)]
pub(crate) struct KubeKeys {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) accounts_public: PathBuf,
    pub(crate) accounts_private: PathBuf,
    pub(crate) tokens: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    pem: String,
    der: Vec<u8>,
}

impl KubeKeys {
    /// Makes all keys anew.
    pub(crate) fn make(folder: &Path) -> Result<Self, KeysError> {
        let names = [SERVER, "localhost"].map(str::to_owned);
        let server = rcgen::generate_simple_self_signed(names)?;
        let keys = Self {
            certificate: folder.join("server.crt"),
            key: folder.join("server.key"),
            accounts_public: folder.join("service-accounts.pub"),
            accounts_private: folder.join("service-accounts.key"),
            tokens: folder.join("tokens.csv"),
            kubeconfig: folder.join("kubeconfig"),
            pem: server.cert.pem(),
            der: server.cert.der().to_vec(),
        };
        write(&keys.certificate, &keys.pem)?;
        write(&keys.key, &server.signing_key.serialize_pem())?;
        let accounts = rcgen::KeyPair::generate()?;
        write(&keys.accounts_public, &accounts.public_key_pem())?;
        write(&keys.accounts_private, &accounts.serialize_pem())?;
        write(&keys.tokens, &format!("{TOKEN},tester,tester,\"{GROUP}\"\n"))?;
        Ok(keys)
    }

    /// Writes the kubeconfig for the server at `url`. It is JSON, which is YAML too.
    pub(crate) fn write_kubeconfig(&self, url: &str) -> Result<(), KeysError> {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": self.certificate}}],
            "users": [{"name": "tester", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "tester", "namespace": "default"}}],
            "current-context": "test",
        });
        write(&self.kubeconfig, &config.to_string())
    }

    /// The same for a client in this process.
    pub(crate) fn config(&self, url: &str) -> Result<Config, KeysError> {
        let mut config = Config::new(url.parse()?);
        config.root_cert = Some(vec![self.der.clone()]);
        config.auth_info = AuthInfo { token: Some(TOKEN.into()), ..AuthInfo::default() };
        Ok(config)
    }
}

fn write(path: &Path, text: &str) -> Result<(), KeysError> {
    fs::write(path, text).map_err(|source| KeysError::Write { path: path.to_owned(), source })
}
