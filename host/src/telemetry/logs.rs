//! Logs, to standard error: standard output is for results.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// The variable that says what is logged: `debug`, or `info,sluicebox::ledger=trace`.
const FILTER_VARIABLE: &str = "SLUICEBOX_LOG";
/// The Delta kernel tells at `info` of every snapshot that it builds.
const DEFAULT_FILTER: &str = "info,buoyant_kernel=warn";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "{FILTER_VARIABLE} is not a filter: {0}. Write a level (`debug`) or targets with levels (`info,sluicebox=debug`)"
    )]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logs were started already: {0}")]
    Started(#[from] TryInitError),
}

/// Starts logging for the whole process. librdkafka's messages come through the `log` crate, at their own
/// level, under the target `librdkafka`.
pub fn start_logs(format: LogFormat) -> Result<(), LogError> {
    let filter = filter(std::env::var(FILTER_VARIABLE).ok().as_deref())?;
    let colours = std::io::stderr().is_terminal();
    subscriber(format, filter, colours, std::io::stderr).try_init()?;
    Ok(())
}

fn filter(text: Option<&str>) -> Result<EnvFilter, LogError> {
    let text = text.filter(|text| !text.trim().is_empty()).unwrap_or(DEFAULT_FILTER);
    Ok(EnvFilter::builder().parse(text)?)
}

fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    colours: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Human => Box::new(builder.with_ansi(colours).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).with_current_span(false).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter_text: Option<&str>, log: impl FnOnce()) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = subscriber(format, filter(filter_text).unwrap(), false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(captured.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_lines_hold_the_fields() {
        let text = logged(LogFormat::Json, None, || {
            tracing::info!(layer = "silver", rows = 7, "written");
            tracing::debug!("not by default");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["message"], &line["layer"], &line["rows"]),
            (&"written".into(), &"silver".into(), &7.into())
        );
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn the_filter_decides_what_people_see() {
        let text = logged(LogFormat::Human, Some("warn,sluicebox=debug"), || {
            tracing::debug!("ours");
            tracing::info!(target: "librdkafka", "theirs");
            tracing::warn!(target: "librdkafka", "trouble");
        });
        assert!(text.contains("ours") && text.contains("trouble") && !text.contains("theirs"), "{text}");
        assert!(!text.contains('\u{1b}'), "no colours in a file");
    }

    #[test]
    fn a_wrong_filter_names_its_variable() {
        let error = filter(Some("sluicebox=loud")).unwrap_err().to_string();
        assert!(error.starts_with("SLUICEBOX_LOG is not a filter"), "{error}");
        assert!(filter(Some(" ")).is_ok());
    }
}
