//! What the sandbox costs: one step over 8,192 rows of 10 columns, as component and natively, and what decoding the
//! same rows from JSON costs beside it. `cargo xtask bench step` builds the components and runs this.
//!
//! Both sides run the same plugin (`plugins/filter`, `plugins/cleanse`) through the same trait, and do the same work
//! around it: a filter's bitmap is applied to all ten columns, the columns of a cleansing take their places in a new
//! batch. The native side gets its columns ready-made, does not check what the plugin gives, and so pays for nothing
//! but the work; what the component pays beside it (copies across the boundary, checks, WebAssembly's own code and
//! interruption checks) is what the sandbox costs.
//!
//! Times are CPU times of this one thread, the sides taking turns, so that neighbours on the machine do not count
//! and drifts hit all sides alike. The native side runs twice in each turn: how far its two medians lie apart is the
//! floor under which a ratio says nothing.

#![expect(clippy::print_stdout, reason = "a bench tells its figures")]

mod native;
mod turns;

use std::hint::black_box;

use arrow::array::RecordBatch;
use cleanse::Cleanse;
use filter::Filter;
use serde_json::Value;
use sluicebox::decode::Decoded;
use sluicebox::plugin::Rows;
use sluicebox_plugin::Transform;
use sluicebox_tests::fixed_batch::{self, ROWS};

use native::Native;
use turns::{Side, median_times};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TURNS: usize = 2000;

fn main() {
    let events = fixed_batch::events();
    let mut decoder = fixed_batch::decoder();
    let mut decode = || match decoder.decode(black_box(&events)) {
        Decoded::Rows(rows) => rows.batch,
        Decoded::SchemaChange(_) => panic!("a strict schema does not change"),
    };
    let batch = decode();
    assert_eq!((batch.num_rows(), batch.num_columns()), (ROWS, 10));
    let [decoding] = median_times(TURNS / 10, [&mut || drop(decode())]).map(per_row);

    println!("{ROWS} rows of 10 columns; ns per row of CPU time, medians of {TURNS} turns");
    println!(
        "{:<10}{:>9}{:>14}{:>8}{:>11}{:>8}",
        "step", "native", "native again", "floor", "component", "ratio"
    );
    let added = measure::<Filter>("filter", fixed_batch::filter_config(), &batch)
        + measure::<Cleanse>("cleanse", fixed_batch::cleanse_config(), &batch);
    println!("decoding the same rows from JSON: {decoding:.1} ns per row");
    println!(
        "what the sandbox adds to both steps: {added:.1} ns per row, {:.1} % of that",
        added / decoding * 100.0
    );
}

/// Prints the step's line. Gives what the sandbox adds, in ns per row.
fn measure<P: Transform>(name: &str, config: Value, batch: &RecordBatch) -> f64 {
    let mut native = Native::<P>::open(&config, batch);
    let mut native_again = Native::<P>::open(&config, batch);
    let mut step = fixed_batch::open_step(name, config);
    let mut component = || {
        let outcome = step.run(Rows::new(black_box(batch).clone()), None).expect("the step runs");
        outcome.rows.into_batch()
    };
    assert!(component() == native.run(batch), "both sides give the same rows");
    let sides: [Side; 3] = [
        &mut || drop(black_box(native.run(black_box(batch)))),
        &mut || drop(black_box(component())),
        &mut || drop(black_box(native_again.run(black_box(batch)))),
    ];
    let [native, component, again] = median_times(TURNS, sides).map(per_row);
    println!(
        "{name:<10}{native:>9.2}{again:>14.2}{:>8.2}{component:>11.2}{:>8.2}",
        again / native,
        component / native
    );
    component - native
}

fn per_row(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / ROWS as f64
}
