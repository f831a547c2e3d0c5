//! A client of nats-server that sends what it is told, to see what the server makes of it.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};

/// How long the server may take for a line.
const REPLY_WITHIN: Duration = Duration::from_secs(20);

pub(crate) struct Raw(BufReader<TcpStream>);

impl Raw {
    /// Logs in at a port of the loopback with the text of a credentials file.
    pub(crate) fn connect(port: u16, credentials: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(REPLY_WITHIN)).unwrap();
        let mut raw = Self(BufReader::new(stream));
        let info = raw.line();
        let info: Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        let after = |marker: &str| {
            credentials.lines().skip_while(|line| !line.contains(marker)).nth(1).unwrap().trim().to_owned()
        };
        let key = KeyPair::from_seed(&after("BEGIN USER NKEY SEED")).unwrap();
        let signature = key.sign(info["nonce"].as_str().unwrap().as_bytes()).unwrap();
        let connect = json!({
            "jwt": after("BEGIN NATS USER JWT"), "sig": BASE64_URL_SAFE_NO_PAD.encode(signature),
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "protocol": 1,
        });
        let said = raw.say(&format!("CONNECT {connect}\r\n"));
        assert!(said.is_empty(), "{said:?}");
        raw
    }

    /// Whether the server refuses `commands` for want of a right.
    pub(crate) fn is_refused(&mut self, commands: &str) -> bool {
        self.say(commands).iter().any(|line| line.starts_with("-ERR 'Permissions Violation"))
    }

    /// What the server says to `commands`, but for its pings.
    fn say(&mut self, commands: &str) -> Vec<String> {
        write!(self.0.get_mut(), "{commands}PING\r\n").unwrap();
        let mut said = Vec::new();
        loop {
            match self.line().as_str() {
                "PONG" => return said,
                "PING" => write!(self.0.get_mut(), "PONG\r\n").unwrap(),
                line => said.push(line.to_owned()),
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the server closed the connection");
        line.trim_end().to_owned()
    }
}
