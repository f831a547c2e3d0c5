//! A TCP relay that paces what goes through it, for people who may not shape an interface.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};

use crate::{
    link::{Link, LinkError},
    pace::Pace,
    rate::Rate,
};

/// A rate may change as often as a trace does.
const STEP: Duration = Duration::from_millis(100);
/// Bytes that pass at a time: a packet of an Ethernet.
const PACKET: usize = 1_448;
/// How long the far side may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a relay is made.
#[derive(Debug, Clone, Copy)]
pub struct RelayOptions {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where connections go on to.
    pub to: SocketAddr,
    /// Receive buffer of the near side, in bytes. What waits there the kernel has acknowledged, so the sender takes it
    /// for carried: the buffer must be small beside what one measures.
    pub buffer: usize,
    /// The rate until there is another.
    pub rate: Rate,
    /// The rate of what comes back; [`Rate::OPEN`] as a rule.
    pub down: Rate,
}

/// A relay at work; it takes no new connections once dropped.
#[derive(Debug)]
pub struct Relay {
    pace: Arc<Pace>,
    listens_at: SocketAddr,
}

/// The two ways of a link.
#[derive(Debug, Clone)]
struct Ways {
    up: Arc<Pace>,
    down: Arc<Pace>,
    to: SocketAddr,
}

impl Relay {
    /// Listens; connections go on to the far side, each on threads of its own.
    ///
    /// # Errors
    /// [`LinkError::Listen`].
    pub fn start(options: RelayOptions) -> Result<Self, LinkError> {
        let failed = |source| LinkError::Listen { at: options.listen, source };
        let listener = TcpListener::bind(options.listen).map_err(failed)?;
        // Connections inherit both. The segment goes with the buffer, which must hold some of them; the loopback's own
        // 64 KiB would never fit.
        let set = setsockopt(&listener, sockopt::RcvBuf, &options.buffer)
            .and_then(|()| setsockopt(&listener, sockopt::TcpMaxSeg, &(PACKET as u32)));
        set.map_err(|errno| failed(errno.into()))?;
        let listens_at = listener.local_addr().map_err(failed)?;
        let pace = Arc::new(Pace::new(options.rate));
        let ways = Ways { up: pace.clone(), down: Arc::new(Pace::new(options.down)), to: options.to };
        let accept = move || {
            for near in listener.incoming() {
                let ways = ways.clone();
                let relayed = near.and_then(|near| spawn("relay", move || relay(near, &ways)));
                if let Err(error) = relayed {
                    eprintln!("autotiler-shaper: a connection was not taken: {error}");
                }
            }
        };
        spawn("accept", accept).map_err(failed)?;
        Ok(Self { pace, listens_at })
    }

    /// Where it listens.
    pub fn listens_at(&self) -> SocketAddr {
        self.listens_at
    }
}

impl Link for Relay {
    fn step(&self) -> Duration {
        STEP
    }

    fn carry(&mut self, rate: Rate) -> Result<(), LinkError> {
        self.pace.set(rate);
        Ok(())
    }
}

/// Carries one connection until either side ends it.
fn relay(near: TcpStream, ways: &Ways) {
    let connected = TcpStream::connect_timeout(&ways.to, PATIENCE).and_then(|far| {
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let (back, answers, down) = (near.try_clone()?, far.try_clone()?, ways.down.clone());
        spawn("relay-back", move || copy(&answers, &back, &down))?;
        Ok(far)
    });
    match connected {
        Ok(far) => copy(&near, &far, &ways.up),
        Err(error) => eprintln!("autotiler-shaper: connecting to {}: {error}", ways.to),
    }
}

/// What comes from one side goes to the other at its pace.
fn copy(mut from: &TcpStream, mut to: &TcpStream, pace: &Pace) {
    let mut packet = [0; PACKET];
    // An end or a reset of either side ends both; who was connected sees it and connects anew.
    while let Ok(bytes @ 1..) = from.read(&mut packet) {
        pace.pass(bytes);
        let Some(read) = packet.get(..bytes) else { break };
        if to.write_all(read).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
