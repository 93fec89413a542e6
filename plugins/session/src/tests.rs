use proptest::prelude::*;
use sluicebox_plugin::serde_json::{Value, json};
use sluicebox_plugin::test_kit::{Opened, StateStore, open_aggregate};
use sluicebox_plugin::{Error, Field, Kind, field, timestamp_micros};

use crate::SessionWindow;

const SECOND: i64 = 1_000_000;
const GAP: i64 = 10;

fn schema() -> Vec<Field> {
    vec![
        field("at", timestamp_micros()),
        field("user", Kind::Utf8),
        field("n", Kind::Int64),
        field("x", Kind::Float64),
    ]
}

fn config() -> Value {
    json!({
        "time": "at", "gap": "10s", "by": ["user"],
        "aggregates": [
            {"name": "rows", "function": "count"},
            {"name": "sum", "function": "sum", "column": "x"},
            {"name": "avg", "function": "avg", "column": "x"},
            {"name": "min", "function": "min", "column": "n"},
            {"name": "max", "function": "max", "column": "x"},
            {"name": "first", "function": "first", "column": "n"},
            {"name": "last", "function": "last", "column": "n"},
            {"name": "numbers", "function": "count_distinct", "column": "n"},
            {"name": "median", "function": "quantile", "quantile": 0.5, "column": "x"},
            {"name": "frequent", "function": "top_k", "k": 2, "column": "n"},
        ],
    })
}

fn open() -> Opened<SessionWindow> {
    open_aggregate::<SessionWindow>(config(), &schema()).unwrap()
}

fn row(at: i64, user: Option<&str>, n: i64) -> Value {
    json!({"at": at * SECOND, "user": user, "n": n, "x": n as f64 / 4.0})
}

/// Start, end, group and number of rows of each session, in seconds.
fn told(out: &[Value]) -> Vec<(i64, i64, String, i64)> {
    let second = |row: &Value, name: &str| row[name].as_i64().unwrap() / SECOND;
    out.iter()
        .map(|row| {
            let user = row["user"].as_str().unwrap_or("-").to_owned();
            (second(row, "session_start"), second(row, "session_end"), user, row["rows"].as_i64().unwrap())
        })
        .collect()
}

#[test]
fn a_session_comes_out_when_the_watermark_has_passed_its_last_row_by_the_gap() {
    let mut sessions = open();
    let rows = [
        row(0, Some("a"), 1),
        row(9, Some("a"), 2),
        row(19, Some("a"), 3),
        row(5, None, 4),
        row(18, Some("b"), 5),
    ];
    let (out, rejected) = sessions.update(&rows, Some(15 * SECOND - 1)).unwrap();
    assert_eq!((out, rejected), (vec![], vec![]));
    let (out, _) = sessions.update(&[], Some(19 * SECOND)).unwrap();
    assert_eq!(told(&out), [(5, 5, "-".into(), 1), (0, 9, "a".into(), 2)]);
    let (out, _) = sessions.update(&[], Some(29 * SECOND - 1)).unwrap();
    assert_eq!(told(&out), [(18, 18, "b".into(), 1)]);
    let (out, _) = sessions.update(&[], Some(29 * SECOND)).unwrap();
    assert_eq!(told(&out), [(19, 19, "a".into(), 1)]);
    assert_eq!(sessions.update(&[], Some(i64::MAX)).unwrap().0.len(), 0, "nothing comes out twice");
}

#[test]
fn a_row_between_two_sessions_makes_one_of_them() {
    let mut sessions = open();
    let rows = [
        row(30, Some("a"), 7),
        row(15, Some("a"), 1),
        row(22, Some("a"), 7),
        row(40, Some("a"), 9),
        row(60, Some("ab"), 0),
    ];
    let (out, _) = sessions.update(&rows, Some(1_000 * SECOND)).unwrap();
    assert_eq!(told(&out), [(15, 30, "a".into(), 3), (40, 40, "a".into(), 1), (60, 60, "ab".into(), 1)]);
    let frequent = json!([{"value": 7, "count": 2, "error": 0}, {"value": 1, "count": 1, "error": 0}]);
    let merged = json!({
        "session_start": 15 * SECOND, "session_end": 30 * SECOND, "user": "a", "rows": 3, "sum": 3.75, "avg": 1.25, "min": 1,
        "max": 1.75, "first": 1, "last": 7, "numbers": 2, "frequent": frequent, "median": out[0]["median"],
    });
    assert_eq!(out[0], merged);
    assert!((out[0]["median"].as_f64().unwrap() / 1.75 - 1.0).abs() <= 0.01);
}

#[test]
fn rejects_rows_without_time_and_rows_of_closed_sessions() {
    let mut late = row(9, Some("a"), 1);
    late["_watermark"] = json!(19 * SECOND);
    let mut in_time = row(10, Some("a"), 1);
    in_time["_watermark"] = json!(19 * SECOND);
    let (_, rejected) = open().update(&[json!({"n": 1}), late, in_time], None).unwrap();
    let rules: Vec<(usize, &str)> = rejected.iter().map(|(row, rule, _)| (*row, rule.as_str())).collect();
    assert_eq!(rules, [(0, "null_time"), (1, "closed_session")]);
}

#[test]
fn refuses_what_makes_no_sense() {
    let error = |change: fn(&mut Value)| {
        let mut config = config();
        change(&mut config);
        open_aggregate::<SessionWindow>(config, &schema()).err().expect("it must not open")
    };
    assert!(matches!(error(|config| config["gap"] = json!("0s")), Error::Config(_)));
    assert!(matches!(error(|config| config["time"] = json!("n")), Error::Schema(_)));
    assert!(matches!(error(|config| config["by"] = json!(["x"])), Error::Schema(_)));
    assert!(matches!(error(|config| config["aggregates"] = json!([])), Error::Config(_)));
    assert!(matches!(error(|config| config["aggregates"][0]["name"] = json!("user")), Error::Config(_)));
}

/// All that comes out, and the numbers of rejected rows, when the stream is cut into batches of `size`, with the
/// state taken out and put into a new instance after every batch. A row is its JSON; its `_watermark` is its own.
fn in_batches(rows: &[Value], size: usize) -> (Vec<Value>, Vec<usize>) {
    let mut store = StateStore::default();
    let (mut out, mut rejected) = (Vec::new(), Vec::new());
    for (i, batch) in rows.chunks(size).enumerate() {
        let mut sessions = open();
        store.restore(&mut sessions.plugin).unwrap();
        // The watermark after a batch is what the next row would have.
        let watermark = rows.get((i + 1) * size).and_then(|next| next["_watermark"].as_i64());
        let end = (i + 1) * size >= rows.len();
        let (emitted, refused) =
            sessions.update(batch, if end { Some(i64::MAX) } else { watermark }).unwrap();
        out.extend(emitted);
        rejected.extend(refused.iter().map(|(row, ..)| i * size + row));
        store.take(&mut sessions.plugin).unwrap();
    }
    assert!(store.is_empty(), "closed sessions leave nothing behind");
    (out, rejected)
}

/// A stream of rows with their watermarks, `delay` seconds behind the largest time so far.
fn stream(of: &[(u8, i64, i64)], delay: i64) -> Vec<Value> {
    let mut largest: Option<i64> = None;
    of.iter()
        .map(|(user, at, n)| {
            let mut row = row(*at, Some(["a", "b", "ab"][usize::from(*user) % 3]), *n);
            row["x"] = json!(*n as f64 * 0.1);
            row["_watermark"] = json!(largest.map(|largest| (largest - delay) * SECOND));
            largest = largest.max(Some(*at));
            row
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a stream is cut, with the state stored and restored at each cut, the same rows come out in the same
    /// order, to the last bit. Late rows are among them, for the event time may be another than the host's.
    #[test]
    fn rows_do_not_depend_on_cuts(of in prop::collection::vec((0..3u8, 0..50i64, -9..9i64), 1..120), delay in 0..30i64) {
        let rows: Vec<(u8, i64, i64)> =
            of.iter().enumerate().map(|(i, (user, jitter, n))| (*user, i as i64 * 2 + jitter, *n)).collect();
        let rows = stream(&rows, delay);
        let whole = in_batches(&rows, rows.len());
        prop_assert_eq!(&whole, &in_batches(&rows, 1));
        prop_assert_eq!(&whole, &in_batches(&rows, 7));
    }

    /// Without late rows the sessions are those of the sorted rows, cut at each gap, whatever the order they came in.
    #[test]
    fn sessions_are_the_sorted_rows_cut_at_the_gaps(of in prop::collection::vec((0..3u8, 0..300i64, -9..9i64), 1..60)) {
        let rows = stream(&of, 1_000);
        let mut expected = Vec::new();
        for (index, user) in ["a", "b", "ab"].iter().enumerate() {
            let mut times: Vec<i64> =
                of.iter().filter(|(of, ..)| usize::from(*of) == index).map(|(_, at, _)| *at).collect();
            times.sort();
            for session in times.chunk_by(|a, b| b - a < GAP) {
                expected.push((session[0], session[session.len() - 1], user.to_string(), session.len() as i64));
            }
        }
        let (out, rejected) = in_batches(&rows, rows.len());
        let mut found = told(&out);
        prop_assert!(found.is_sorted_by_key(|(_, end, ..)| *end) && rejected.is_empty());
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}
