//! How often memory is allocated for a batch that is the same in every run. Unlike time that is a number which a
//! machine gives again and again: a step back (an allocation for each record, a column that is copied once more) shows
//! at once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sluicebox::decode::Decoded;
use sluicebox::plugin::Rows;
use sluicebox_tests::fixed_batch::{self, ROWS};

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let result = work();
    (ALLOCATIONS.get() - before, result)
}

/// 8,192 JSON records to ten columns, in a decoder that has seen a batch: a number that does not grow with the rows.
#[test]
fn decoding_allocates_by_the_batch() {
    let events = fixed_batch::events();
    let mut decoder = fixed_batch::decoder();
    let mut decode = || match decoder.decode(&events) {
        Decoded::Rows(rows) => rows.batch,
        Decoded::SchemaChange(_) => panic!("a strict schema does not change"),
    };
    assert_eq!(decode().num_rows(), ROWS);
    let (count, _batch) = allocations(decode);
    assert!(count <= DECODING, "decoding a batch allocates {count} times; it took {DECODING} times before");
}

/// The same rows through a filter that reads two columns, with the columns of what is kept: again by the batch.
#[test]
fn a_filter_allocates_by_the_batch() {
    let Decoded::Rows(rows) = fixed_batch::decoder().decode(&fixed_batch::events()) else {
        panic!("a strict schema does not change")
    };
    let mut filter = fixed_batch::open_step("filter", fixed_batch::filter_config());
    let mut run =
        || filter.run(Rows::new(rows.batch.clone()), None).expect("the filter runs").rows.into_batch();
    assert!((ROWS / 5..ROWS / 3).contains(&run().num_rows()), "about a quarter is kept");
    let (count, _kept) = allocations(run);
    assert!(
        count <= FILTERING,
        "filtering a batch allocates {count} times; it took {FILTERING} times before"
    );
}

const DECODING: usize = 58;
const FILTERING: usize = 57;
