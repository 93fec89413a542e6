//! The steps, compiled for a schema: instructions on registers, each of which holds a column.

use std::borrow::Cow;

use sluicebox_kernels::{self as kernels, CastTo, TimeFormat};
use sluicebox_plugin::{
    Batch, Column, ColumnBuilder, Error, Field, Kind, Literal, Outcome, Place, Reads, Rejections, Scalar,
    Schema, field, kind_name, parse_rfc3339, timestamp_micros,
};

use crate::expression::Expression;
use crate::step::{AddStep, OnFailure, Step};

const CAST: u16 = 0;
const PARSE_TIMESTAMP: u16 = 1;

/// A register's number.
type Register = usize;

enum Instruction {
    Load(Place),
    Trim(Register),
    Upper(Register),
    Lower(Register),
    Default(Register, Kind, Scalar),
    Cast(Register, Kind, CastTo, OnFailure),
    ParseTimestamp(Register, TimeFormat, OnFailure),
    Constant(Kind, Scalar),
    Compute(Expression, Vec<Register>),
}

/// A column as the steps so far left it. No two slots have the same register.
struct Slot {
    /// The column, and all that is nested in it; the first has the slot's name.
    fields: Vec<Field>,
    /// `None`: still the input's column, not read yet.
    register: Option<Register>,
    is_input: bool,
}

pub struct Program {
    /// Instruction i fills register i.
    instructions: Vec<Instruction>,
    slots: Vec<Slot>,
}

impl Program {
    /// The program, and the columns that it reads.
    pub fn new(steps: &[Step], input: &Schema) -> Result<(Program, Vec<String>), Error> {
        let names = input.top_level().map(|field| field.name.as_str());
        let slots = names.filter_map(|name| {
            Some(Slot { fields: input.column(name)?.to_vec(), register: None, is_input: true })
        });
        let program = Program { instructions: Vec::new(), slots: slots.collect() };
        let mut compiler = Compiler { program, input, reads: Reads::default() };
        for step in steps {
            compiler.step(step)?;
        }
        Ok((compiler.program, compiler.reads.names()))
    }

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
        let mut failures = Failures::default();
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
                    failures.add(failed, CAST, *on_failure, to.describe());
                    result
                }
                Instruction::ParseTimestamp(register, format, on_failure) => {
                    let (result, failed) = kernels::parse_timestamps(column(register), format)?;
                    failures.add(failed, PARSE_TIMESTAMP, *on_failure, "a timestamp of the format");
                    result
                }
                Instruction::Constant(kind, value) => constant(kind, value, rows)?,
                Instruction::Compute(expression, operands) => {
                    let operands: Vec<&Column> = operands.iter().map(column).collect();
                    expression.compute(&operands, rows)?
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
            rejected: failures.into_rejections(),
            batch: Some(Batch { rows: batch.rows, columns }),
        })
    }
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

/// The rows that could not be converted and are to be rejected.
#[derive(Default)]
struct Failures {
    rows: Vec<(usize, u16, String)>,
}

impl Failures {
    fn add(&mut self, failed: Vec<(usize, String)>, rule: u16, on_failure: OnFailure, wanted: &str) {
        if on_failure == OnFailure::Reject {
            self.rows.extend(
                failed.into_iter().map(|(row, value)| (row, rule, format!("`{value}` is not {wanted}"))),
            );
        }
    }

    /// The first step that failed on a row gives the reason.
    fn into_rejections(mut self) -> Rejections {
        self.rows.sort_by_key(|(row, ..)| *row);
        self.rows.dedup_by_key(|(row, ..)| *row);
        let mut rejections = Rejections::default();
        for (row, rule, reason) in &self.rows {
            rejections.push(*row, *rule, reason);
        }
        rejections
    }
}

struct Compiler<'a> {
    program: Program,
    input: &'a Schema,
    reads: Reads,
}

impl Compiler<'_> {
    fn step(&mut self, step: &Step) -> Result<(), Error> {
        match step {
            Step::Trim(columns) => self.texts(columns, Instruction::Trim),
            Step::Upper(columns) => self.texts(columns, Instruction::Upper),
            Step::Lower(columns) => self.texts(columns, Instruction::Lower),
            Step::Default(step) => {
                let (register, kind) = self.load(&step.column)?;
                let value = literal(&step.value, &kind).ok_or_else(|| {
                    Error::Config(format!(
                        "`{}` is {}; {} cannot be its default",
                        step.column,
                        kind_name(&kind),
                        step.value
                    ))
                })?;
                self.set(&step.column, kind.clone(), Instruction::Default(register, kind, value));
                Ok(())
            }
            Step::Cast(step) => {
                let (register, kind) = self.load(&step.column)?;
                if !kernels::can_cast(&kind, step.to) {
                    return Err(Error::Schema(format!(
                        "column `{}` is {}, which cannot be cast to {}",
                        step.column,
                        kind_name(&kind),
                        step.to.describe()
                    )));
                }
                self.set(
                    &step.column,
                    step.to.kind(),
                    Instruction::Cast(register, kind, step.to, step.on_failure),
                );
                Ok(())
            }
            Step::ParseTimestamp(step) => {
                let format = TimeFormat::new(&step.format).map_err(Error::Config)?;
                let (register, kind) = self.load(&step.column)?;
                let wanted = if format.is_number() { Kind::Int64 } else { Kind::Utf8 };
                if kind != wanted {
                    return Err(Error::Schema(format!(
                        "column `{}` is {}; the format `{}` is for {}",
                        step.column,
                        kind_name(&kind),
                        step.format,
                        kind_name(&wanted)
                    )));
                }
                let instruction = Instruction::ParseTimestamp(register, format, step.on_failure);
                self.set(&step.column, timestamp_micros(), instruction);
                Ok(())
            }
            Step::Rename(step) => {
                self.load(&step.from)?;
                if self.program.slots.iter().any(|slot| slot.fields[0].name == step.to) {
                    return Err(Error::Config(format!("there is a column `{}` already", step.to)));
                }
                let slot = self.slot(&step.from)?;
                slot.fields[0].name.clone_from(&step.to);
                slot.is_input = false;
                Ok(())
            }
            Step::Drop(columns) => columns.iter().try_for_each(|column| {
                self.slot(column)?;
                self.program.slots.retain(|slot| slot.fields[0].name != *column);
                Ok(())
            }),
            Step::Extract(step) => {
                let place = self.reads.add(self.input, &step.from)?;
                let mut fields = place.fields().to_vec();
                fields[0].name.clone_from(&step.to);
                fields[0].nullable = true;
                self.set_fields(fields, Instruction::Load(place));
                Ok(())
            }
            Step::Add(step) => self.add(step),
        }
    }

    fn add(&mut self, step: &AddStep) -> Result<(), Error> {
        match (&step.constant, &step.expression) {
            (Some(value), None) => {
                let kind = match value {
                    Literal::Text(_) => Kind::Utf8,
                    Literal::Bool(_) => Kind::Boolean,
                    Literal::Int(_) => Kind::Int64,
                    Literal::Float(_) => Kind::Float64,
                };
                let value = literal(value, &kind).unwrap_or(Scalar::Null);
                self.set(&step.column, kind.clone(), Instruction::Constant(kind, value));
                Ok(())
            }
            (None, Some(written)) => {
                let (expression, names) = Expression::parse(written).map_err(Error::Config)?;
                let mut operands = Vec::with_capacity(names.len());
                for name in &names {
                    let (register, kind) = self.load(name)?;
                    if !kernels::is_number(&kind) {
                        return Err(Error::Schema(format!(
                            "column `{name}` is {}, not a number: `{written}`",
                            kind_name(&kind)
                        )));
                    }
                    operands.push(register);
                }
                self.set(&step.column, Kind::Float64, Instruction::Compute(expression, operands));
                Ok(())
            }
            _ => Err(Error::Config(format!(
                "`add` of `{}` needs `constant` or `expression`, and not both",
                step.column
            ))),
        }
    }

    fn texts(&mut self, columns: &[String], instruction: fn(Register) -> Instruction) -> Result<(), Error> {
        columns.iter().try_for_each(|column| {
            let (register, kind) = self.load(column)?;
            if kind != Kind::Utf8 {
                return Err(Error::Schema(format!("column `{column}` is {}, not text", kind_name(&kind))));
            }
            self.set(column, kind, instruction(register));
            Ok(())
        })
    }

    fn slot(&mut self, name: &str) -> Result<&mut Slot, Error> {
        let slot = self.program.slots.iter_mut().find(|slot| slot.fields[0].name == name);
        slot.ok_or_else(|| {
            Error::Schema(format!(
                "there is no column `{name}` at this step; to use a nested field, `extract` it"
            ))
        })
    }

    /// The register and the type of a column as it is by now.
    fn load(&mut self, name: &str) -> Result<(Register, Kind), Error> {
        let next = self.program.instructions.len();
        let slot = self.slot(name)?;
        let kind = slot.fields[0].kind.clone();
        if let Some(register) = slot.register {
            return Ok((register, kind));
        }
        slot.register = Some(next);
        let place = self.reads.add(self.input, name)?;
        self.program.instructions.push(Instruction::Load(place));
        Ok((next, kind))
    }

    fn set(&mut self, name: &str, kind: Kind, instruction: Instruction) {
        self.set_fields(vec![field(name, kind)], instruction);
    }

    fn set_fields(&mut self, fields: Vec<Field>, instruction: Instruction) {
        let register = Some(self.program.instructions.len());
        self.program.instructions.push(instruction);
        let name = &fields[0].name;
        let known = self.program.slots.iter().position(|slot| slot.fields[0].name == *name);
        let slot = Slot { fields, register, is_input: false };
        match known {
            Some(at) => self.program.slots[at] = slot,
            None => self.program.slots.push(slot),
        }
    }
}

/// A literal of the configuration as a value of a type.
fn literal(value: &Literal, kind: &Kind) -> Option<Scalar> {
    Some(match kind {
        Kind::Boolean => Scalar::Bool(value.as_bool()?),
        Kind::Utf8 => Scalar::Text(value.as_str()?.to_owned()),
        Kind::Int64 => Scalar::Int(value.as_i64()?),
        Kind::Float32 | Kind::Float64 => Scalar::Float(value.as_f64()?),
        kind if *kind == timestamp_micros() => Scalar::Int(parse_rfc3339(value.as_str()?.as_bytes())?),
        _ => return None,
    })
}
