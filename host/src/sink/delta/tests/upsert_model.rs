//! Random schedules against a naive model: whatever is cut, lost, restarted or rewritten by others, the table is
//! the latest row of each key.

use std::collections::VecDeque;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use object_store::memory::InMemory;
use proptest::prelude::*;

use super::upserts::key;
use super::*;
use crate::sink::conformance::Fault;
use crate::sink::{Applied, SinkApplier};

/// `(id, site)` is the key; `kind` changes from row to row, so that rows move where it is the partition.
type Row = (i64, u8, i64, u8);

#[derive(Debug, Clone)]
enum Happening {
    /// An entry: the rows of two files.
    Enter(Vec<Row>, Vec<Row>),
    /// So many of the entries that wait are merged in one commit.
    Apply {
        entries: usize,
        trouble: Trouble,
    },
    Restart,
    /// Others rewrite all files into one.
    Optimize,
    /// Others delete a key.
    Delete(i64, u8),
}

#[derive(Debug, Clone, Copy)]
enum Trouble {
    None,
    LostAfterEffect,
    LostBeforeEffect,
    OptimizeFirst,
    OtherApplierFirst,
}

fn row() -> impl Strategy<Value = Row> {
    (0..6i64, 0..3u8, 0..8i64, 0..3u8)
}

fn happening() -> impl Strategy<Value = Happening> {
    let rows = || prop::collection::vec(row(), 0..8);
    let trouble = prop_oneof![
        4 => Just(Trouble::None),
        1 => Just(Trouble::LostAfterEffect),
        1 => Just(Trouble::LostBeforeEffect),
        1 => Just(Trouble::OptimizeFirst),
        1 => Just(Trouble::OtherApplierFirst),
    ];
    prop_oneof![
        5 => (rows(), rows()).prop_map(|(one, other)| Happening::Enter(one, other)),
        5 => (1..4usize, trouble).prop_map(|(entries, trouble)| Happening::Apply { entries, trouble }),
        1 => Just(Happening::Restart),
        1 => Just(Happening::Optimize),
        1 => (0..6i64, 0..3u8).prop_map(|(id, site)| Happening::Delete(id, site)),
    ]
}

fn model_schema() -> SchemaRef {
    let fields = [
        ("id", DataType::Int64),
        ("site", DataType::Utf8),
        ("at", DataType::Int64),
        ("kind", DataType::Utf8),
        ("n", DataType::Int64),
    ];
    Arc::new(Schema::new(fields.map(|(name, of)| Field::new(name, of, true)).to_vec()))
}

/// What the table holds of a key: `at`, `kind`, and the row's number.
type Held = (i64, String, i64);

type Keyed = (i64, String, Held);

struct World {
    place: Place,
    store: Arc<FaultyStore>,
    applier: DeltaApplier,
    waiting: VecDeque<(Arc<Entry>, Vec<Keyed>)>,
    table: BTreeMap<(i64, String), Held>,
    next_entry: EntryNumber,
    next_row: i64,
}

impl World {
    async fn new(partition_by: &[&str]) -> Self {
        let store = FaultyStore::over(Arc::new(InMemory::new()));
        let place = Place {
            rows: model_schema(),
            mode: key(&["id", "site"], "at"),
            partition_by: partition_by.iter().map(|&column| column.to_owned()).collect(),
            checkpoint_interval: 7,
            ..Place::with_store(store.clone())
        };
        // The rows are in memory; whoever loads a local table looks for its folder first.
        std::fs::create_dir(place.folder.path().join("table")).expect("a folder");
        let applier = place.open().await.expect("opened");
        let (waiting, table) = Default::default();
        Self { place, store, applier, waiting, table, next_entry: 4, next_row: 0 }
    }

    async fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Enter(one, other) => self.enter(&[one, other]).await,
            Happening::Apply { entries, trouble } => self.apply(entries, trouble).await,
            Happening::Restart => self.applier = self.place.open().await.expect("opened again"),
            Happening::Optimize => self.place.optimize().await,
            Happening::Delete(id, site) => self.delete(id, &format!("site {site}")).await,
        }
    }

    async fn enter(&mut self, files: &[Vec<Row>]) {
        let writer = Writer { incarnation: Uuid::new_v4(), epoch: self.next_entry };
        let (mut part, mut rows) = (SinkEntry::default(), Vec::new());
        for (thread, file) in files.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let numbers = self.next_row..;
            self.next_row += file.len() as i64;
            let file: Vec<_> = numbers
                .zip(file)
                .map(|(n, (id, site, at, kind))| {
                    (*id, format!("site {site}"), (*at, format!("kind/{kind}"), n))
                })
                .collect();
            part.files.extend(self.place.files(writer, thread, &batch(&file)).await);
            rows.extend(file);
        }
        // Numbers between them belong to entries without rows for the sink.
        self.next_entry += 2;
        self.waiting.push_back((self.place.entry_of(self.next_entry, writer, part), rows));
    }

    async fn apply(&mut self, entries: usize, trouble: Trouble) {
        let taken: Vec<_> = (0..entries).filter_map(|_| self.waiting.pop_front()).collect();
        let Some((last, _)) = taken.last() else { return };
        let to = last.number + 1;
        let entries: Vec<_> = taken.iter().map(|(entry, _)| entry.clone()).collect();
        self.applier.mark().await.expect("a mark");
        match trouble {
            Trouble::None => {}
            Trouble::LostAfterEffect => self.store.fail_next(".json", Fault::AfterEffect),
            Trouble::LostBeforeEffect => self.store.fail_next(".json", Fault::BeforeEffect),
            Trouble::OptimizeFirst => self.place.optimize().await,
            Trouble::OtherApplierFirst => {
                let mut other = self.place.open().await.expect("opened");
                assert_eq!(other.apply(&entries, to).await.expect("applied"), Applied::Done);
            }
        }
        let expected = matches!(trouble, Trouble::None).then_some(Applied::Done);
        let mut outcome = self.applier.apply(&entries, to).await.ok();
        assert_eq!(outcome.filter(|outcome| *outcome == Applied::Done), expected);
        for _ in 0..2 {
            if outcome != Some(Applied::Done) && self.applier.mark().await.expect("a mark").number < to {
                outcome = self.applier.apply(&entries, to).await.ok();
            }
        }
        assert_eq!(self.applier.mark().await.expect("a mark").number, to);
        for (id, site, row) in taken.into_iter().flat_map(|(_, rows)| rows) {
            let held = self.table.get(&(id, site.clone()));
            if held.is_none_or(|held| held.0 <= row.0) {
                self.table.insert((id, site), row);
            }
        }
    }

    async fn delete(&mut self, id: i64, site: &str) {
        self.table.remove(&(id, site.to_owned()));
        let left: Vec<_> = rows_of(&self.place.view().await.sample)
            .into_iter()
            .filter(|(found, at, _)| (*found, at.as_str()) != (id, site))
            .collect();
        self.place.rewrite("DELETE", &batch(&left)).await;
    }

    async fn check(&self) {
        let view = self.place.view().await;
        let mut found = rows_of(&view.sample);
        found.sort_unstable();
        let expected: Vec<_> =
            self.table.iter().map(|((id, site), row)| (*id, site.clone(), row.clone())).collect();
        assert_eq!(found, expected);
        assert_eq!(view.rows, expected.len() as u64, "the statistics count the same");
    }
}

fn batch(rows: &[Keyed]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.1))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2.0))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.2.1))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2.2))),
    ];
    RecordBatch::try_new(model_schema(), columns).expect("rows")
}

fn rows_of(rows: &RecordBatch) -> Vec<Keyed> {
    let number = |name: &str, row| rows[name].as_primitive::<Int64Type>().value(row);
    let text = |name: &str, row| rows[name].as_string::<i32>().value(row).to_owned();
    (0..rows.num_rows())
        .map(|row| {
            let held = (number("at", row), text("kind", row), number("n", row));
            (number("id", row), text("site", row), held)
        })
        .collect()
}

fn run(partition_by: &[&str], schedule: Vec<Happening>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut world = World::new(partition_by).await;
        for happening in schedule {
            world.happen(happening).await;
        }
        while !world.waiting.is_empty() {
            world.apply(3, Trouble::None).await;
            world.check().await;
        }
        world.check().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_table_is_the_latest_row_of_each_key(schedule in prop::collection::vec(happening(), 1..24)) {
        run(&[], schedule);
    }

    #[test]
    fn so_it_is_where_the_partition_is_of_the_key(schedule in prop::collection::vec(happening(), 1..24)) {
        run(&["site"], schedule);
    }

    #[test]
    fn and_where_rows_move_between_partitions(schedule in prop::collection::vec(happening(), 1..24)) {
        run(&["kind"], schedule);
    }
}
