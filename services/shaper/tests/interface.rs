//! `tc` on a real interface, in two network namespaces.
//!
//! `cargo test -p autotiler-shaper --test interface -- --ignored` as root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, and helpers of tests")]

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Instant,
};

const SHAPER: &str = env!("CARGO_BIN_EXE_autotiler-shaper");
const FAR: &str = "198.18.97.2:5001";
/// Headers of packets count for the link and not for who reads.
const LOWEST: f64 = 0.7;
const HIGHEST: f64 = 1.1;

fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Two namespaces with a wire between them; gone when dropped.
struct Wire;

impl Wire {
    fn new() -> Self {
        for command in [
            "ip netns add shaper-near",
            "ip netns add shaper-far",
            "ip link add sh-n netns shaper-near type veth peer name sh-f netns shaper-far",
            "ip -n shaper-near addr add 198.18.97.1/24 dev sh-n",
            "ip -n shaper-far addr add 198.18.97.2/24 dev sh-f",
            "ip -n shaper-near link set sh-n up",
            "ip -n shaper-far link set sh-f up",
        ] {
            run(command);
        }
        Self
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for name in ["shaper-near", "shaper-far"] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn inside(namespace: &str, program: &str, args: &[&str]) -> Child {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]).args(args).stdout(Stdio::piped());
    command.spawn().unwrap()
}

fn qdisc() -> String {
    run("tc -n shaper-near qdisc show dev sh-n")
}

#[test]
#[ignore = "needs root: network namespaces and tc"]
fn an_interface_has_the_rate_of_its_file_and_is_left_as_it_was() {
    let _wire = Wire::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schedule");
    fs::write(&file, "400k").unwrap();
    let me = env::current_exe().unwrap().display().to_string();
    let path = file.display().to_string();
    let mut shaper = inside("shaper-near", SHAPER, &["--interface", "sh-n", "--schedule-file", &path]);
    let mut lines = BufReader::new(shaper.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().contains("\"bps\":400000.0"));
    let mut server = inside("shaper-far", &me, &["--ignored", "--exact", "far_side", "--nocapture"]);
    let mut told = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut listening =
        || told.find_map(|line| line.unwrap().split_once("RESULT ").map(|(_, word)| word.to_owned()));
    assert_eq!(listening().unwrap(), "listens");
    for bps in [400e3, 2e6] {
        fs::write(&file, format!("{bps}\n# a remark\n")).unwrap();
        assert!(next().contains(&format!("\"bps\":{bps:.1}")));
        let args = ["--ignored", "--exact", "near_side", "--nocapture"];
        let mut sender = inside("shaper-near", &me, &args);
        let share = listening().unwrap().parse::<f64>().unwrap() / bps;
        sender.wait().unwrap();
        assert!((LOWEST..=HIGHEST).contains(&share), "{bps}: {share}");
    }
    assert!(qdisc().contains("tbf"));
    run(&format!("kill -TERM {}", shaper.id()));
    assert!(shaper.wait().unwrap().success());
    assert!(!qdisc().contains("tbf"), "{}", qdisc());
    let _ = server.kill();
    server.wait().unwrap();
}

/// Says how fast each connection brought its bytes.
#[test]
#[ignore = "run by the other test"]
fn far_side() {
    let Ok(listener) = TcpListener::bind(FAR) else { return };
    println!("RESULT listens");
    for taken in listener.incoming() {
        let mut taken = taken.unwrap();
        // The bucket's fill comes at once.
        taken.read_exact(&mut [0; 20_000]).unwrap();
        let start = Instant::now();
        let mut bytes = Vec::new();
        taken.read_to_end(&mut bytes).unwrap();
        println!("RESULT {}", bytes.len() as f64 * 8.0 / start.elapsed().as_secs_f64());
    }
}

#[test]
#[ignore = "run by the other test"]
fn near_side() {
    let Ok(mut far) = TcpStream::connect(FAR) else { return };
    far.write_all(&vec![7; 120_000]).unwrap();
}
