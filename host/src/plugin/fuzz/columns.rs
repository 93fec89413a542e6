//! Plans and outcomes of typed plugins.

use super::super::bindings::{aggregate, transform, types};
use super::super::instance::{StatedOutcome, StatedPlan};
use super::super::joining::Allotment;
use super::super::limits::Limits;
use super::super::outcome::Outcome;
use super::super::plan::{Output, Plan};
use super::super::round_trip::Dice;
use super::super::rows::Rows;
use super::super::step::StepOutcome;
use super::seeds::fuzz;
use super::stated;
use super::{assert_sound, input, use_up};

/// A plan for rows with the columns of [`input`], sound more often than not.
pub fn plan(dice: &mut Dice) -> types::TransformPlan {
    let names = ["a", "b", "c", "_key", "_offset"];
    let mut reads: Vec<String> =
        names.iter().filter(|_| dice.below(2) == 0).map(|name| (*name).to_owned()).collect();
    let mut rules = vec!["rule_1".to_owned(), "rule_2".to_owned()];
    let mut drop: Vec<String> = if dice.below(3) == 0 { vec!["c".to_owned()] } else { Vec::new() };
    let mut fields = stated::fields(dice, &["a", "d"]);
    if dice.below(3) == 0 {
        for _ in 0..=dice.below(3) {
            match dice.below(6) {
                0 => reads.push(stated::name(dice)),
                1 => rules.push(stated::name(dice)),
                2 => drop.push(stated::name(dice)),
                _ => stated::damage_fields(dice, &mut fields),
            }
        }
    }
    let output = match dice.below(4) {
        0 => types::TransformOutput::Select,
        1 | 2 => types::TransformOutput::Columns(types::ColumnChanges { set: fields, drop }),
        _ => types::TransformOutput::Rows(fields),
    };
    types::TransformPlan { reads, output, rules }
}

fn outcome(dice: &mut Dice, plan: &Plan, rows: usize) -> transform::Outcome {
    let keep = match plan.output {
        Output::Rows => None,
        _ if dice.below(2) == 0 => None,
        _ => Some((0..rows.div_ceil(8)).map(|_| dice.next() as u8).collect()),
    };
    let rejected = (dice.below(2) == 0).then(|| stated::rejections(dice, rows, plan.rules.len()));
    let batch = match &plan.output {
        Output::Select => None,
        Output::Columns { made, .. } => Some(stated::drawn_batch(dice, made, rows)),
        Output::Rows => {
            let new = dice.below(30);
            Some(stated::drawn_batch(dice, &plan.schema, new))
        }
    };
    transform::Outcome { keep, rejected, batch }
}

fn damage(dice: &mut Dice, outcome: &mut transform::Outcome) {
    match (dice.below(8), &mut outcome.rejected, &mut outcome.batch) {
        (0, ..) => outcome.keep = Some(stated::bytes(dice)),
        (1, ..) => outcome.batch = None,
        (2 | 3, Some(rejected), _) => stated::damage_rejections(dice, rejected),
        (_, _, Some(batch)) => stated::damage_batch(dice, batch),
        _ => {}
    }
}

fn one(seed: u64) -> bool {
    let mut dice = Dice::new(seed);
    let rows = dice.below(40);
    let batch = input(&mut dice, rows);
    let limits = Limits { output_rows: 25, ..Limits::default() };
    let stated_plan = plan(&mut dice);
    let aggregates = dice.below(4) == 0;
    let stated_plan = match stated_plan.output {
        types::TransformOutput::Rows(output) if aggregates => StatedPlan::Aggregate(aggregate::Plan {
            reads: stated_plan.reads,
            output,
            rules: stated_plan.rules,
        }),
        output => StatedPlan::Transform(types::TransformPlan { output, ..stated_plan }),
    };
    let Ok(plan) = Plan::check(stated_plan, batch.schema_ref()) else { return false };
    // As the search for rows that break the plugin does it: in pieces, with one limit for all.
    let mut allotment = Allotment::new(&limits);
    let mut pieces = Vec::new();
    let mut left = rows;
    for last in (0..1 + dice.below(12)).rev() {
        let rows = if last == 0 { left } else { dice.below(left + 1) };
        left -= rows;
        let mut stated = outcome(&mut dice, &plan, rows);
        for _ in 0..dice.below(4) {
            damage(&mut dice, &mut stated);
        }
        let stated = match aggregates && plan.output == Output::Rows {
            true => StatedOutcome::Aggregate(aggregate::Emission {
                rejected: stated.rejected,
                batch: stated.batch,
            }),
            false => StatedOutcome::Transform(stated),
        };
        let Ok(outcome) = Outcome::check(stated, rows, &plan, &limits) else { return false };
        let Ok(()) = allotment.take(&outcome, &plan) else { return false };
        pieces.push(outcome);
    }
    let outcome = match pieces.len() {
        1 if dice.below(2) == 0 => pieces.remove(0),
        _ => Outcome::joined(pieces, &plan).unwrap(),
    };
    let StepOutcome { rows: out, counts, rejected, .. } = outcome.carry_out(Rows::new(batch), &plan);
    assert!(counts.balances() && counts.rows_in == rows as u64 && counts.made <= 8 * 25, "{counts:?}");
    let out = out.into_batch();
    assert_eq!(out.schema(), plan.schema);
    assert_sound(&out);
    use_up(out);
    if let Some(rejected) = rejected {
        assert_sound(&rejected.rows);
        assert_eq!(rejected.rows.num_rows(), rejected.reasons.iter().count());
    }
    true
}

#[test]
fn whatever_is_given_back_as_columns_is_refused_or_sound() {
    fuzz("plugin-columns", one);
}
