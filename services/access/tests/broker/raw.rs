//! A client that sends what it is told, to see what the server makes of it.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use autotiler_access::Credentials;
use autotiler_transport::testing::NatsServer;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::site::LONG;

pub(crate) struct Raw(BufReader<TcpStream>);

impl Raw {
    pub(crate) fn connect(server: &NatsServer, credentials: &Credentials) -> Self {
        let mut raw = Self::greeted(server);
        let info = raw.line();
        let info: Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        let after = |marker: &str| {
            let mut lines = credentials.reveal().lines().skip_while(|line| !line.contains(marker));
            lines.nth(1).unwrap().to_owned()
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

    /// Before it has said who it is.
    pub(crate) fn greeted(server: &NatsServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Self(BufReader::new(stream))
    }

    /// What the server says to `commands`, but for its pings.
    pub(crate) fn say(&mut self, commands: &str) -> Vec<String> {
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

    /// Whether the server refuses `commands` for want of a right.
    pub(crate) fn refused(&mut self, commands: &str) -> bool {
        self.say(commands).iter().any(|line| line.starts_with("-ERR 'Permissions Violation"))
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the server closed the connection");
        line.trim_end().to_owned()
    }
}
