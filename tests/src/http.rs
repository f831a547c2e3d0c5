//! One HTTP GET, as a probe or a scraper sends it.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long a reply may take: an admin port that hangs is a failure.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why there was no reply.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nothing listens, or the connection broke.
    #[error("getting {path} from {addr}")]
    Io {
        /// The admin port.
        addr: SocketAddr,
        /// The path asked for.
        path: String,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// What came back is no HTTP.
    #[error("reading the reply of {addr}: {reply:?}")]
    NotHttp {
        /// The admin port.
        addr: SocketAddr,
        /// What came back.
        reply: String,
    },
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body as it came.
    pub body: String,
}

/// Gets `path` from `addr`.
///
/// # Errors
/// [`HttpError`].
pub fn get(addr: SocketAddr, path: &str) -> Result<Reply, HttpError> {
    let reply =
        exchange(addr, path).map_err(|source| HttpError::Io { addr, path: path.to_owned(), source })?;
    parse(&reply).ok_or(HttpError::NotHttp { addr, reply })
}

fn exchange(addr: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // HTTP/1.0: the reply ends with the connection and has no chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {addr}\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

fn parse(reply: &str) -> Option<Reply> {
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Reply { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_status_and_body() {
        let reply = parse("HTTP/1.0 503 Service Unavailable\r\na: b\r\n\r\nwaiting for: nats\n").unwrap();
        assert_eq!(reply, Reply { status: 503, body: "waiting for: nats\n".to_owned() });
        assert!(parse("-ERR 'Unknown Protocol'\r\n").is_none());
    }
}
