//! Layouts and changes of state.

use super::super::bindings::state;
use super::super::round_trip::Dice;
use super::super::state::{check_changes, check_layout};
use super::seeds::fuzz;
use super::{assert_sound, stated, use_up};

fn one(seed: u64) -> bool {
    let mut dice = Dice::new(seed);
    let mut key = stated::fields(&mut dice, &["key", "a"]);
    let mut value = stated::fields(&mut dice, &["b", "c"]);
    if dice.below(4) == 0 {
        stated::damage_fields(&mut dice, &mut key);
        stated::damage_fields(&mut dice, &mut value);
    }
    let version = dice.next() as u32;
    let Ok(layout) = check_layout(state::FieldsResult { version, key, value }) else { return false };
    let mut batch = |schema| {
        let rows = dice.below(30);
        let mut batch = stated::drawn_batch(&mut dice, &schema, rows);
        for _ in 0..dice.below(3) {
            stated::damage_batch(&mut dice, &mut batch);
        }
        (dice.below(4) > 0).then_some(batch)
    };
    let (upserts, deletes) = (batch(layout.row()), batch(layout.key.clone()));
    let Ok(changes) = check_changes(state::Delta { upserts, deletes }, &layout) else { return false };
    for batch in changes.upserts.into_iter().chain(changes.deletes) {
        assert_sound(&batch);
        use_up(batch);
    }
    true
}

#[test]
fn whatever_is_given_back_as_state_is_refused_or_sound() {
    fuzz("plugin-state", one);
}
