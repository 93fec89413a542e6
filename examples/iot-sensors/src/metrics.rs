//! What the worker says of itself at `/metrics`, in Prometheus' text format.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const TIMEOUT: Duration = Duration::from_secs(2);

/// The samples of one scrape; none before the worker listens.
#[derive(Debug, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    pub fn fetch(address: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        let (head, body) = response.split_once("\r\n\r\n").context("not an HTTP response")?;
        ensure!(head.split_whitespace().nth(1) == Some("200"), "{head}");
        Ok(Self::parse(body))
    }

    /// Records that are in the ledger: whatever happens, they are in the tables soon.
    pub fn entered_records(&self) -> u64 {
        self.sum("sluicebox_records_total", &[])
    }

    /// Whether the tables hold everything that is in the ledger.
    pub fn all_applied(&self) -> bool {
        self.sum("sluicebox_unapplied_entries", &[]) == 0
    }

    /// Rows of a sink that are in the ledger.
    pub fn rows(&self, sink: &str) -> u64 {
        self.sum("sluicebox_sink_rows_total", &[("sink", sink)])
    }

    pub fn rejected_rows(&self) -> u64 {
        self.sum("sluicebox_rejected_total", &[])
    }

    pub fn late_rows(&self) -> u64 {
        self.sum("sluicebox_rows_total", &[("fate", "late")])
    }

    /// The lowest watermark of all partitions, seconds since the Unix epoch; the worker says 0 before it has one.
    pub fn watermark(&self) -> Option<f64> {
        self.values("sluicebox_watermark_seconds", &[]).reduce(f64::min).filter(|seconds| *seconds > 0.0)
    }

    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.values(name, labels).sum::<f64>() as u64
    }

    fn values<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = f64> + 'a {
        let has = |sample: &Sample, name: &str, value: &str| {
            sample.labels.iter().any(|(its_name, its_value)| its_name == name && its_value == value)
        };
        let wanted = move |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(name, value)| has(sample, name, value))
        };
        self.samples.iter().filter(wanted).map(|sample| sample.value)
    }

    /// Lines that are no samples are passed over.
    fn parse(text: &str) -> Self {
        Self { samples: text.lines().filter_map(parse_sample).collect() }
    }
}

/// `name{label="value",…} 12.5`. Values with escapes are not unfolded: the worker's names have none.
fn parse_sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    if line.starts_with('#') {
        return None;
    }
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    let labels = labels.split(',').filter(|label| !label.is_empty()).map(|label| {
        let (name, value) = label.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    });
    Some(Sample { name: name.to_owned(), labels: labels.collect::<Option<_>>()?, value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_name_and_label() {
        let metrics = Metrics::parse(
            "# HELP sluicebox_sink_rows rows\n\
             sluicebox_sink_rows_total{sink=\"bronze\",worker=\"a\"} 12\n\
             sluicebox_sink_rows_total{worker=\"b\",sink=\"bronze\"} 3\n\
             sluicebox_sink_rows_total{sink=\"gold\"} 5\n\
             sluicebox_watermark_seconds{partition=\"0\"} 17.5\n\
             sluicebox_watermark_seconds{partition=\"1\"} 16.5\n\
             broken{ 1\n\
             sluicebox_records_total 4e3\n\
             # EOF\n",
        );
        assert_eq!(metrics.rows("bronze"), 15);
        assert_eq!(metrics.rows("silver"), 0);
        assert_eq!(metrics.watermark(), Some(16.5));
        assert_eq!(metrics.entered_records(), 4000);
        assert_eq!(metrics.samples.len(), 6);
    }
}
