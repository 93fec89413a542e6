//! Outcomes of plugins over JSON.

use super::super::bindings::records;
use super::super::instance::StatedPlan;
use super::super::limits::Limits;
use super::super::outcome::Outcome;
use super::super::plan::{Output, Plan};
use super::super::records::{Allowance, write_all};
use super::super::round_trip::Dice;
use super::super::rows::Rows;
use super::super::step::StepOutcome;
use super::seeds::fuzz;
use super::{assert_sound, columns, drawn, input, stated, use_up};

/// What a text is damaged with: tokens of JSON, and values at which something is apt to go wrong.
const PIECES: [&str; 28] = [
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "null",
    "true",
    "-0",
    "1e400",
    "-1e-400",
    "0.1",
    "9223372036854775808",
    "18446744073709551616",
    "170141183460469231731687303715884105728",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"NaN\"",
    "\"2026-02-30T25:00:00Z\"",
    "\"+275760-09-13T00:00:00Z\"",
    "\"AP8=\"",
    "\"A\"",
    "[[[[[[[[",
    "{\"a\":",
    "\"a\":1,",
    " ",
    "\u{1f980}",
];

fn damage_text(dice: &mut Dice, text: &mut String) {
    let mut at = dice.below(text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let mut end = (at + dice.below(8)).min(text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    match dice.below(5) {
        0 => text.replace_range(at..end, ""),
        1 => text.truncate(at),
        2 => {
            let copied = text[at..end].to_owned();
            text.insert_str(at, &copied);
        }
        _ => {
            let piece = PIECES[dice.below(PIECES.len())];
            text.replace_range(at..end, piece);
        }
    }
}

fn outcome(dice: &mut Dice, plan: &Plan, rows: usize) -> records::Outcome {
    let text = match &plan.output {
        Output::Select => None,
        Output::Columns { made, .. } => Some(write_all(&drawn(dice, made, rows))),
        Output::Rows => {
            let new = dice.below(30);
            Some(write_all(&drawn(dice, &plan.schema, new)))
        }
    };
    let keeps = plan.output == Output::Select && dice.below(2) == 0;
    let refused = (0..rows as u32).filter(|_| dice.below(6) == 0).collect::<Vec<_>>().into_iter();
    records::Outcome {
        keep: keeps.then(|| (0..rows).map(|_| dice.below(2) == 0).collect()),
        rejected: refused
            .map(|row| records::Rejection { row, rule: "rule_1".to_owned(), reason: "ü".to_owned() })
            .collect(),
        rows: text,
    }
}

fn damage(dice: &mut Dice, outcome: &mut records::Outcome) {
    match (dice.below(10), &mut outcome.rows) {
        (0, _) => outcome.keep = Some(vec![true; dice.below(50)]),
        (1, _) => outcome.rows = None,
        (2, _) => outcome.rejected.push(records::Rejection {
            row: stated::turn(dice) as u32,
            rule: stated::name(dice),
            reason: stated::name(dice),
        }),
        (_, Some(text)) => damage_text(dice, text),
        _ => {}
    }
}

fn one(seed: u64) -> bool {
    let mut dice = Dice::new(seed);
    let rows = dice.below(40);
    let batch = input(&mut dice, rows);
    let Ok(plan) = Plan::check(StatedPlan::Transform(columns::plan(&mut dice)), batch.schema_ref()) else {
        return false;
    };
    let mut stated = outcome(&mut dice, &plan, rows);
    for _ in 0..dice.below(4) {
        damage(&mut dice, &mut stated);
    }
    let limits = Limits { output_rows: 25, output_bytes: 64 << 10, ..Limits::default() };
    let Ok(outcome) = Outcome::of_records(stated, rows, &plan, &mut Allowance::new(&limits)) else {
        return false;
    };
    let StepOutcome { rows: out, counts, .. } = outcome.carry_out(Rows::new(batch), &plan);
    assert!(counts.balances() && counts.rows_in == rows as u64 && counts.made <= 25, "{counts:?}");
    let out = out.into_batch();
    assert_sound(&out);
    use_up(out);
    true
}

#[test]
fn whatever_is_given_back_as_json_is_refused_or_sound() {
    fuzz("plugin-records", one);
}
