//! A scrape of `/metrics`, read for assertions.

/// All samples of one scrape.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(Vec<Sample>);

/// One line of a scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its name, `_bucket`, `_sum` and `_count` included.
    pub name: String,
    /// Label names and values, in the order of the line.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

impl Metrics {
    /// Reads Prometheus' text format; lines that are no samples are left out.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(parse_sample).collect())
    }

    /// The samples named `name` that carry all of `labels`.
    pub fn samples<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.0
            .iter()
            .filter(move |sample| sample.name == name && labels.iter().all(|label| sample.has(*label)))
    }

    /// The sum over those samples; 0 when there is none, as a counter that was never touched.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples(name, labels).map(|sample| sample.value).sum()
    }
}

impl Sample {
    /// The value of the label `name`.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn has(&self, (name, value): (&str, &str)) -> bool {
        self.label(name) == Some(value)
    }
}

/// Reads `name{label="value",...} 3`. Label values with `}` or escapes do not occur in ours.
fn parse_sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
    };
    let labels = labels.split("\",").filter(|label| !label.is_empty()).map(parse_label);
    Some(Sample { name: name.to_owned(), labels: labels.collect::<Option<_>>()?, value: value.parse().ok()? })
}

fn parse_label(label: &str) -> Option<(String, String)> {
    let (name, value) = label.split_once("=\"")?;
    Some((name.to_owned(), value.strip_suffix('"').unwrap_or(value).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPE: &str = r#"# HELP lost Frames lost.
# TYPE lost counter
lost{reason="stale",device="a, b"} 3
lost{reason="codec",device="c"} 4
sent 12
seconds_bucket{le="+Inf"} 1e2
garbage
"#;

    #[test]
    fn sums_the_samples_with_the_labels() {
        let metrics = Metrics::parse(SCRAPE);
        assert_eq!(metrics.sum("lost", &[]), 7.0);
        assert_eq!(metrics.sum("lost", &[("reason", "codec")]), 4.0);
        assert_eq!(metrics.sum("sent", &[]), 12.0);
        assert_eq!(metrics.sum("seconds_bucket", &[("le", "+Inf")]), 100.0);
        assert_eq!(metrics.sum("absent", &[]), 0.0);
    }

    #[test]
    fn keeps_every_label() {
        let metrics = Metrics::parse(SCRAPE);
        let sample = metrics.samples("lost", &[("reason", "stale")]).next().unwrap();
        assert_eq!(sample.label("device"), Some("a, b"));
        assert_eq!(sample.label("pod"), None);
    }
}
