//! Observe: one vector query for each signal of a policy, each value with the time of its sample.
//!
//! An instant query answers with points up to five minutes old as if they were of now, so each is asked for together
//! with its `timestamp()`. Both times are of Prometheus' own clock: no two clocks are subtracted.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;

/// Names of the signals, as labels and as fields of a policy.
pub const SIGNALS: [&str; 3] = ["uplinkBandwidth", "rtt", "serverQueue"];
/// Label that tells a value from its time in the joined answer.
const PART: &str = "autotiler_part";
/// Longest answer that is read, in bytes: 10,000 devices take about 3 MB.
const LONGEST_ANSWER: usize = 64 << 20;
/// How much of a foreign answer is shown to people.
const SHOWN: usize = 120;

/// Where Prometheus is and what to ask it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusSettings {
    /// Base address, like `http://prometheus:9090`.
    pub address: String,
    /// How often to ask.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Label that names the device.
    pub device_label: String,
    /// PromQL for the capacity of the uplink, in bit/s.
    pub uplink_bandwidth: String,
    /// PromQL for the round trip, in seconds.
    pub rtt: String,
    /// PromQL for the 95th percentile of the wait on the server, in seconds.
    pub server_queue: String,
}

/// One value of one device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// As Prometheus has it; NaN and infinite values too.
    pub value: f64,
    /// Since it was sampled.
    pub age: Duration,
}

/// The newest sample of each device.
pub type Samples = HashMap<String, Sample>;

/// All signals of a policy, each with its own fate.
#[derive(Debug)]
pub struct Observed {
    /// Capacity of the uplink, in bit/s.
    pub uplink: Result<Samples, ObserveError>,
    /// Round trip, in seconds.
    pub rtt: Result<Samples, ObserveError>,
    /// Wait on the server, in seconds.
    pub server_queue: Result<Samples, ObserveError>,
}

/// Why a signal is not known. The text is for a condition's message: it names the address and the cause.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// No connection.
    #[error("no Prometheus at {url}: {cause}")]
    Unreachable {
        /// The address.
        url: String,
        /// What went wrong, down to its root.
        cause: String,
    },
    /// No answer in time.
    #[error("Prometheus at {url} did not answer within {limit:?}")]
    Slow {
        /// The address.
        url: String,
        /// The policy's limit.
        limit: Duration,
    },
    /// Something else listens there.
    #[error("what answers at {url} is not Prometheus' API (HTTP {status}): {shown:?}")]
    NotPrometheus {
        /// The address.
        url: String,
        /// Of the answer.
        status: u16,
        /// Its beginning.
        shown: String,
    },
    /// Prometheus does not understand the query.
    #[error("Prometheus at {url} refuses the query {query:?}: {error}")]
    Refused {
        /// The address.
        url: String,
        /// As the policy has it.
        query: String,
        /// Its own words.
        error: String,
    },
    /// The query names nothing that Prometheus has.
    #[error(
        "the query {query:?} at {url} yields no series with label {label:?}: is the metric's name right, and is the gateway scraped?"
    )]
    Empty {
        /// The address.
        url: String,
        /// As the policy has it.
        query: String,
        /// That names the device.
        label: String,
    },
}

impl Observed {
    /// Signals that could not be asked for, by their names in a policy.
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, &ObserveError)> {
        let all = SIGNALS.into_iter().zip([&self.uplink, &self.rtt, &self.server_queue]);
        all.filter_map(|(signal, samples)| Some((signal, samples.as_ref().err()?)))
    }
}

impl ObserveError {
    /// Label of the metric that counts it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Slow { .. } => "slow",
            Self::NotPrometheus { .. } => "not_prometheus",
            Self::Refused { .. } => "refused",
            Self::Empty { .. } => "empty",
        }
    }
}

/// Asks Prometheus. Clones share connections.
#[derive(Debug, Clone)]
pub struct Observer {
    http: reqwest::Client,
}

impl Observer {
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn try_new() -> Result<Self, reqwest::Error> {
        Ok(Self { http: reqwest::Client::builder().build()? })
    }

    /// All signals, asked at the same time.
    pub async fn observe(&self, settings: &PrometheusSettings) -> Observed {
        let PrometheusSettings { uplink_bandwidth, rtt, server_queue, .. } = settings;
        let (uplink, rtt, server_queue) = tokio::join!(
            self.query(settings, uplink_bandwidth),
            self.query(settings, rtt),
            self.query(settings, server_queue),
        );
        Observed { uplink, rtt, server_queue }
    }

    async fn query(&self, settings: &PrometheusSettings, query: &str) -> Result<Samples, ObserveError> {
        let url = settings.address.trim_end_matches('/').to_owned();
        let joined = [("query", joined(query))];
        let asked = async {
            let answer = self.http.post(format!("{url}/api/v1/query")).form(&joined).send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        };
        let (status, body) = match tokio::time::timeout(settings.timeout, asked).await {
            Err(_) => return Err(ObserveError::Slow { url, limit: settings.timeout }),
            Ok(Err(error)) => return Err(ObserveError::Unreachable { url, cause: root_cause(&error) }),
            Ok(Ok(answer)) => answer,
        };
        let foreign = || {
            let shown = String::from_utf8_lossy(&body).chars().take(SHOWN).collect();
            ObserveError::NotPrometheus { url: url.clone(), status, shown }
        };
        if body.len() > LONGEST_ANSWER {
            return Err(foreign());
        }
        match serde_json::from_slice::<Answer>(&body).map_err(|_| foreign())? {
            Answer::Error { error } => Err(ObserveError::Refused { url, query: query.to_owned(), error }),
            Answer::Success { data } => {
                let samples = read(data, &settings.device_label);
                let label = settings.device_label.clone();
                if samples.is_empty() {
                    return Err(ObserveError::Empty { url, query: query.to_owned(), label });
                }
                Ok(samples)
            }
        }
    }
}

/// The value and the time of its sample in one query, told apart by a label.
fn joined(query: &str) -> String {
    let part =
        |expression: &str, part: &str| format!(r#"label_replace({expression}, "{PART}", "{part}", "", "")"#);
    format!("{} or {}", part(&format!("({query})"), "value"), part(&format!("timestamp({query})"), "time"))
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Answer {
    Success { data: Vector },
    Error { error: String },
}

#[derive(Deserialize)]
struct Vector {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: HashMap<String, String>,
    /// Time of the evaluation, and the value as text.
    value: (f64, String),
}

/// Pairs each value with its time. Where a device has several series, the newest counts.
fn read(data: Vector, device_label: &str) -> Samples {
    /// A series but for the label that tells value from time.
    type Key = Vec<(String, String)>;
    let mut parts: HashMap<Key, (Option<f64>, Option<f64>, f64)> = HashMap::new();
    for Series { mut metric, value: (evaluated, value) } in data.result {
        let part = metric.remove(PART);
        // `timestamp` drops the metric's name.
        metric.remove("__name__");
        let mut key: Key = metric.into_iter().collect();
        key.sort();
        let entry = parts.entry(key).or_insert((None, None, evaluated));
        let value = value.parse().ok();
        match part.as_deref() {
            Some("value") => entry.0 = value,
            Some("time") => entry.1 = value,
            _ => {}
        }
    }
    let mut samples = Samples::new();
    for (key, (value, time, evaluated)) in parts {
        let (Some(value), Some(time)) = (value, time) else { continue };
        let Some((_, device)) = key.into_iter().find(|(label, _)| label == device_label) else { continue };
        let age = Duration::try_from_secs_f64(evaluated - time).unwrap_or_default();
        let sample = Sample { value, age };
        let newest = samples.entry(device).or_insert(sample);
        if age < newest.age {
            *newest = sample;
        }
    }
    samples
}

#[cfg(test)]
mod tests;
