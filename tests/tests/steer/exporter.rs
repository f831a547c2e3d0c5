//! What a gateway would show of one device, with the values that a scenario sets.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
};

/// Serves `/metrics` until the process ends.
pub(crate) struct Exporter {
    pub(crate) addr: SocketAddr,
    shown: Arc<Mutex<String>>,
}

impl Exporter {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let text = shown.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let _ = stream.read(&mut [0; 4096]);
                let body = text.lock().unwrap().clone();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close";
                let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        Self { addr, shown }
    }

    /// The capacity of the uplinks, in bit/s; `None`: the series are gone.
    pub(crate) fn show(&self, devices: &[&str], bps: Option<f64>) {
        let series = |device: &&str| {
            let bps = bps?;
            Some(format!(
                "autotiler_device_uplink_bits_per_second{{device=\"{device}\"}} {bps}\n\
                 autotiler_device_rtt_seconds{{device=\"{device}\"}} 0.06\n\
                 autotiler_device_server_queue_seconds{{device=\"{device}\"}} 0.001\n"
            ))
        };
        *self.shown.lock().unwrap() = devices.iter().filter_map(series).collect();
    }
}
