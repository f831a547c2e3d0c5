//! The rate of a relay against the one it was given, on the loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, and helpers of tests")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use autotiler_shaper::{Link as _, Rate, Relay, RelayOptions};

/// A machine that does much else wakes threads late; it never lets a relay carry more.
const LOWEST: f64 = 0.6;
const HIGHEST: f64 = 1.1;
/// What the relay may let through at once, in bytes: its credit of 10 ms comes on top.
const BURST: f64 = 1_500.0;

fn relay_to(to: SocketAddr, rate: &str) -> Relay {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let rate = rate.parse().unwrap();
    Relay::start(RelayOptions { listen, to, buffer: 4096, rate, down: Rate::OPEN }).unwrap()
}

/// Sends through a relay as fast as it takes, and yields the bits per second at the far side, of so many bytes.
fn measured(relay: &Relay, far: &TcpListener, bytes: usize) -> f64 {
    let mut near = TcpStream::connect(relay.listens_at()).unwrap();
    let sending = thread::spawn(move || while near.write_all(&[7; 1024]).is_ok() {});
    let (mut taken, _) = far.accept().unwrap();
    let mut buffer = vec![0; bytes];
    taken.read_exact(&mut buffer[..1]).unwrap();
    let start = Instant::now();
    taken.read_exact(&mut buffer[1..]).unwrap();
    let took = start.elapsed();
    drop(taken);
    sending.join().unwrap();
    (bytes as f64 - BURST) * 8.0 / took.as_secs_f64()
}

#[test]
fn what_comes_through_has_the_rate_that_was_set_and_follows_it() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut relay = relay_to(far.local_addr().unwrap(), "1M");
    for bps in [1e6, 2e5, 8e6] {
        relay.carry(Rate::from_bps(bps)).unwrap();
        let share = measured(&relay, &far, (bps * 0.06) as usize) / bps;
        assert!((LOWEST..=HIGHEST).contains(&share), "{bps}: {share}");
    }
}

#[test]
fn a_dead_link_carries_nothing_until_it_lives_again() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut relay = relay_to(far.local_addr().unwrap(), "0");
    let mut near = TcpStream::connect(relay.listens_at()).unwrap();
    near.write_all(b"frame").unwrap();
    let (mut taken, _) = far.accept().unwrap();
    taken.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    assert!(taken.read(&mut [0; 8]).is_err());
    // What comes back is not held up.
    taken.write_all(b"answer").unwrap();
    near.read_exact(&mut [0; 6]).unwrap();
    relay.carry(Rate::OPEN).unwrap();
    taken.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    taken.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn what_waits_before_a_dead_link_is_little_and_the_sender_feels_it() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = relay_to(far.local_addr().unwrap(), "0");
    let near = TcpStream::connect(relay.listens_at()).unwrap();
    near.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    nix::sys::socket::setsockopt(&near, nix::sys::socket::sockopt::SndBuf, &4096).unwrap();
    let mut written = 0;
    while let Ok(bytes) = (&near).write(&[7; 512]) {
        written += bytes;
    }
    // Both buffers, which the kernel makes twice as large as asked for, and a packet at the relay.
    assert!(written < 32 << 10, "{written}");
}

#[test]
fn the_end_of_one_side_is_the_end_of_the_other() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = relay_to(far.local_addr().unwrap(), "open");
    let near = TcpStream::connect(relay.listens_at()).unwrap();
    let (mut taken, _) = far.accept().unwrap();
    drop(near);
    assert_eq!(taken.read(&mut [0; 8]).unwrap_or(0), 0);
}
