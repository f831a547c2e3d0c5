//! Logs on standard error: a line for people, or JSON for machines.

use std::io;

use clap::{Args, ValueEnum};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::ParseError,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

/// What is logged, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Logs")]
pub struct LogOptions {
    /// What to log: a level (error, warn, info, debug, trace) or directives like `info,autotiler_edge=debug`.
    #[arg(
        long = "log",
        env = "AUTOTILER_LOG",
        default_value = "info,async_nats=warn",
        value_name = "FILTER",
        global = true
    )]
    pub filter: String,
    /// How to write logs on standard error.
    #[arg(
        long = "log-format",
        env = "AUTOTILER_LOG_FORMAT",
        default_value = "human",
        value_name = "FORMAT",
        global = true
    )]
    pub format: LogFormat,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text for an event.
    Human,
    /// One JSON object for an event, fields at its top level.
    Json,
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A filter that does not parse.
    #[error("reading the log filter {filter:?}")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong in it.
        #[source]
        source: ParseError,
    },
    /// Something else in this process logs already.
    #[error("installing the log subscriber")]
    Install(#[source] TryInitError),
}

impl LogOptions {
    /// Installs the process's log subscriber. Call once, first in `main`.
    ///
    /// # Errors
    /// [`LogError`] for a bad filter, or when a subscriber is already there.
    pub fn install(&self) -> Result<(), LogError> {
        let layer = self.layer(io::stderr)?;
        tracing_subscriber::registry().with(layer).try_init().map_err(LogError::Install)
    }

    fn layer<W>(&self, writer: W) -> Result<Box<dyn Layer<Registry> + Send + Sync>, LogError>
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let filter = EnvFilter::builder()
            .parse(&self.filter)
            .map_err(|source| LogError::Filter { filter: self.filter.clone(), source })?;
        let layer = fmt::layer().with_writer(writer);
        Ok(match self.format {
            LogFormat::Human => layer.with_ansi(false).with_filter(filter).boxed(),
            LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        log: LogOptions,
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(options: &LogOptions) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::registry().with(options.layer(move || writer.clone()).unwrap());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(sequence = 7, "sent");
            tracing::debug!("left out");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_carry_fields_at_their_top_level() {
        let options = LogOptions { filter: "info".into(), format: LogFormat::Json };
        let text = logged(&options);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with('{') && text.contains("\"sequence\":7"), "{text}");
    }

    #[test]
    fn human_lines_have_no_colours() {
        let text = logged(&LogOptions { filter: "info".into(), format: LogFormat::Human });
        assert!(text.contains("sent sequence=7") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn bad_filter_is_named() {
        let options = LogOptions { filter: "a=b=c".into(), format: LogFormat::Human };
        let error = options.layer(io::sink).err().unwrap();
        assert!(error.to_string().contains("a=b=c"), "{error}");
    }

    #[test]
    fn options_parse_from_flags() {
        let command = Command::parse_from(["x", "--log", "debug", "--log-format", "json"]);
        assert_eq!(command.log, LogOptions { filter: "debug".into(), format: LogFormat::Json });
    }
}
