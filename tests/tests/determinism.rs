//! Rows do not depend on how the stream was cut into batches.

use anyhow::Result;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::load::mixed_stream;
use sluicebox_tests::pipeline::{Pipeline, Settings};

const PARTITIONS: usize = 2;
const RECORDS: u64 = 8000;

/// One topic, read in batches of at most 1, 7, 1,000 and 65,536 rows: silver, its quarantine, gold and the
/// dead letters are the same to the last bit.
#[test]
fn batch_sizes_do_not_show_in_any_table() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(5, RECORDS as i64 / PARTITIONS as i64 / 2);
    let (topic, ends) = broker.topic_with("determinism", PARTITIONS, &stream, RECORDS)?;

    let mut expected: Option<Vec<Vec<String>>> = None;
    for batch_rows in [65_536, 1000, 7, 1] {
        let settings = Settings { batch_rows, ..Settings::default() };
        let pipeline = Pipeline::new(&format!("batches-of-{batch_rows}"), broker, &topic, settings)?;
        pipeline.catch_up("worker")?;
        pipeline.verify(&stream, &ends)?;

        let mut tables = Vec::new();
        for table in ["silver", "silver_quarantine", "gold", "dead_letters"] {
            tables.push(pipeline.table(table)?.rows_as_text()?);
        }
        let expected = expected.get_or_insert_with(|| tables.clone());
        for (found, expected) in tables.iter().zip(expected.iter()) {
            let differing = found.iter().zip(expected).find(|(found, expected)| found != expected);
            assert_eq!(differing, None, "with batches of {batch_rows}");
            assert_eq!(found.len(), expected.len(), "with batches of {batch_rows}");
        }
        pipeline.close()?;
    }
    Ok(())
}
