//! A client that sends what it is told, to see what nats-server makes of it.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};

/// How long the server may take for a line.
const REPLY_WITHIN: Duration = Duration::from_secs(20);

/// A connection whose lines are written by hand. Every error is the connection's own, or names what was malformed.
#[derive(Debug)]
pub struct RawClient(BufReader<TcpStream>);

impl RawClient {
    /// A connection to a port of the loopback, before it has said who it is.
    ///
    /// # Errors
    /// The system's own.
    pub fn greeted(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(REPLY_WITHIN))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Logs in with the text of a credentials file.
    ///
    /// # Errors
    /// Also where the server does not take them.
    pub fn connect(port: u16, credentials: &str) -> io::Result<Self> {
        let mut client = Self::greeted(port)?;
        let greeting = client.line()?;
        let info = greeting.strip_prefix("INFO ").ok_or_else(|| io::Error::other(greeting.clone()))?;
        let info: Value = serde_json::from_str(info)?;
        let after = |marker: &str| {
            let mut lines = credentials.lines().skip_while(|line| !line.contains(marker));
            lines
                .nth(1)
                .map(str::trim)
                .ok_or_else(|| io::Error::other(format!("no {marker} in the credentials")))
        };
        let key = KeyPair::from_seed(after("BEGIN USER NKEY SEED")?).map_err(io::Error::other)?;
        let nonce =
            info["nonce"].as_str().ok_or_else(|| io::Error::other("the server asks for no signature"))?;
        let signature = key.sign(nonce.as_bytes()).map_err(io::Error::other)?;
        let connect = json!({
            "jwt": after("BEGIN NATS USER JWT")?, "sig": BASE64_URL_SAFE_NO_PAD.encode(signature),
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "protocol": 1,
        });
        let said = client.say(&format!("CONNECT {connect}\r\n"))?;
        if said.is_empty() { Ok(client) } else { Err(io::Error::other(said.join("; "))) }
    }

    /// What the server says to `commands`, but for its pings.
    ///
    /// # Errors
    /// The system's own; that the server closed the connection.
    pub fn say(&mut self, commands: &str) -> io::Result<Vec<String>> {
        write!(self.0.get_mut(), "{commands}PING\r\n")?;
        let mut said = Vec::new();
        loop {
            match self.line()?.as_str() {
                "PONG" => return Ok(said),
                "PING" => write!(self.0.get_mut(), "PONG\r\n")?,
                line => said.push(line.to_owned()),
            }
        }
    }

    /// Whether the server refuses `commands` for want of a right.
    ///
    /// # Errors
    /// As [`say`](Self::say).
    pub fn is_refused(&mut self, commands: &str) -> io::Result<bool> {
        Ok(self.say(commands)?.iter().any(|line| line.starts_with("-ERR 'Permissions Violation")))
    }

    /// The next line.
    ///
    /// # Errors
    /// As [`say`](Self::say).
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        Ok(line.trim_end().to_owned())
    }
}
