//! The steps as they run: instructions on registers, each of which holds a column.

use std::borrow::Cow;

use sluicebox_expression::{self as expression, Failure, Rule, Vector, rejections};
use sluicebox_kernels::{self as kernels, CastTo, TimeFormat};
use sluicebox_plugin::{
    Batch, Column, ColumnBuilder, Error, Field, Kind, Outcome, Place, Scalar, Schema, kind_name,
};

use crate::step::OnFailure;

/// A register's number.
pub type Register = usize;

pub enum Instruction {
    Load(Place),
    Trim(Register),
    Upper(Register),
    Lower(Register),
    Default(Register, Kind, Scalar),
    Cast(Register, Kind, CastTo, OnFailure),
    ParseTimestamp(Register, TimeFormat, OnFailure),
    Constant(Kind, Scalar),
    Compute(Computation),
}

/// A column that is computed.
pub struct Computation {
    pub program: expression::Program,
    /// Its inputs, with their kinds.
    pub operands: Vec<(Register, Kind)>,
    pub column: String,
    pub on_failure: OnFailure,
}

/// A column as the steps so far left it. No two slots have the same register.
pub struct Slot {
    /// The column, and all that is nested in it; the first has the slot's name.
    pub fields: Vec<Field>,
    /// `None`: still the input's column, not read yet.
    pub register: Option<Register>,
    pub is_input: bool,
}

pub struct Program {
    /// Instruction i fills register i.
    pub instructions: Vec<Instruction>,
    pub slots: Vec<Slot>,
}

impl Program {
    fn set_slots(&self) -> impl Iterator<Item = (&Slot, Register)> {
        self.slots.iter().filter(|slot| !slot.is_input).filter_map(|slot| Some((slot, slot.register?)))
    }

    /// The columns that the output sets, in pre-order.
    pub fn set_fields(&self) -> Vec<Field> {
        self.set_slots().flat_map(|(slot, _)| slot.fields.clone()).collect()
    }

    /// The names of the input's columns that are not in the output.
    pub fn dropped(&self, input: &Schema) -> Vec<String> {
        let is_gone = |name: &str| self.slots.iter().all(|slot| slot.fields[0].name != name);
        input.top_level().map(|field| field.name.clone()).filter(|name| is_gone(name)).collect()
    }

    pub fn run(&self, batch: &Batch) -> Result<Outcome, Error> {
        let rows = batch.rows as usize;
        let mut registers: Vec<Cow<'_, [Column]>> = Vec::with_capacity(self.instructions.len());
        let mut failures: Vec<Failure> = Vec::new();
        for instruction in &self.instructions {
            let column = |register: &Register| &registers[*register][0];
            let result = match instruction {
                Instruction::Load(place) => {
                    registers.push(load(place, batch));
                    continue;
                }
                Instruction::Trim(register) => kernels::trim(column(register))?,
                Instruction::Upper(register) => kernels::upper(take(&mut registers, *register))?,
                Instruction::Lower(register) => kernels::lower(take(&mut registers, *register))?,
                Instruction::Default(register, kind, value) => default(column(register), kind, value)?,
                Instruction::Cast(register, kind, to, on_failure) => {
                    let (result, failed) = kernels::cast(column(register), kind, *to)?;
                    failures.extend(unconverted(failed, Rule::Cast, *on_failure, to.describe()));
                    result
                }
                Instruction::ParseTimestamp(register, format, on_failure) => {
                    let (result, failed) = kernels::parse_timestamps(column(register), format)?;
                    let wanted = "a timestamp of the format";
                    failures.extend(unconverted(failed, Rule::ParseTimestamp, *on_failure, wanted));
                    result
                }
                Instruction::Constant(kind, value) => constant(kind, value, rows)?,
                Instruction::Compute(computation) => {
                    let (result, failed) = computation.run(&registers, rows)?;
                    failures.extend(failed);
                    result
                }
            };
            registers.push(Cow::Owned(vec![result]));
        }
        let mut columns = Vec::new();
        for (_, register) in self.set_slots() {
            columns.extend(std::mem::take(&mut registers[register]).into_owned());
        }
        Ok(Outcome {
            keep: None,
            rejected: rejections(failures),
            batch: Some(Batch { rows: batch.rows, columns }),
        })
    }
}

impl Computation {
    /// The column, and the failures that reject rows.
    fn run(&self, registers: &[Cow<'_, [Column]>], rows: usize) -> Result<(Column, Vec<Failure>), Error> {
        let inputs = self.operands.iter().map(|(at, kind)| Vector::of_column(&registers[*at][0], kind));
        let inputs = inputs.collect::<Result<Vec<Vector>, Error>>()?;
        let (vector, failures) = self.program.evaluate(&inputs, rows)?;
        let rejecting = failures.into_iter().filter(|_| self.on_failure == OnFailure::Reject);
        Ok((vector.into_column(rows), rejecting.map(|failure| failure.in_column(&self.column)).collect()))
    }
}

/// The values that could not be converted, if they reject their rows.
fn unconverted(failed: kernels::Failed, rule: Rule, on_failure: OnFailure, wanted: &str) -> Vec<Failure> {
    let rejecting = failed.into_iter().filter(|_| on_failure == OnFailure::Reject);
    rejecting
        .map(|(row, value)| Failure { row, rule, reason: format!("`{value}` is not {wanted}") })
        .collect()
}

/// Moves a column out of a register that nothing reads again, because its slot has another by now.
fn take(registers: &mut [Cow<'_, [Column]>], register: Register) -> Column {
    std::mem::take(&mut registers[register]).into_owned().swap_remove(0)
}

/// A column as it is; one that was nested gets the nulls of what was around it.
fn load<'a>(place: &Place, batch: &'a Batch) -> Cow<'a, [Column]> {
    let columns = place.columns(batch);
    if !place.is_nested() {
        return Cow::Borrowed(columns);
    }
    let mut columns = columns.to_vec();
    if let Some(first) = columns.first_mut() {
        first.validity = place.validity(batch).into_bytes();
    }
    Cow::Owned(columns)
}

fn default(column: &Column, kind: &Kind, value: &Scalar) -> Result<Column, Error> {
    if column.validity.is_none() {
        return Ok(column.clone());
    }
    let mut builder = builder(kind)?;
    for row in 0..column.length as usize {
        match Scalar::read(column, kind, row) {
            Some(Scalar::Null) | None => builder.push(value),
            Some(present) => builder.push(&present),
        }
    }
    Ok(builder.finish())
}

fn constant(kind: &Kind, value: &Scalar, rows: usize) -> Result<Column, Error> {
    let mut builder = builder(kind)?;
    for _ in 0..rows {
        builder.push(value);
    }
    Ok(builder.finish())
}

fn builder(kind: &Kind) -> Result<ColumnBuilder, Error> {
    ColumnBuilder::new(kind).ok_or_else(|| Error::Data(format!("cannot build {}", kind_name(kind))))
}
