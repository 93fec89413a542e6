//! From steps as they are written to instructions, for the columns of a schema.

use sluicebox_expression::{Columns, Expression, Type};
use sluicebox_kernels::{self as kernels, TimeFormat};
use sluicebox_plugin::{
    Error, Field, Kind, Literal, Reads, Scalar, Schema, field, kind_name, parse_rfc3339, timestamp_micros,
};

use crate::program::{Computation, Instruction, Program, Register, Slot};
use crate::step::{AddStep, Step};

/// The program of the steps, and the columns that it reads.
pub fn compile(steps: &[Step], input: &Schema) -> Result<(Program, Vec<String>), Error> {
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
                let mut operands = Operands { compiler: self, found: Vec::new() };
                let program = Expression::parse(written)?.compile(&mut operands)?;
                let (operands, kind) = (operands.found, program.kind().clone());
                let (column, on_failure) = (step.column.clone(), step.on_failure);
                let computation = Computation { program, operands, column, on_failure };
                self.set(&step.column, kind, Instruction::Compute(computation));
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

/// The columns that an expression names, in the order in which it finds them.
struct Operands<'c, 'a> {
    compiler: &'c mut Compiler<'a>,
    found: Vec<(Register, Kind)>,
}

impl Columns for Operands<'_, '_> {
    fn find(&mut self, name: &str) -> Result<(usize, Type), Error> {
        let (register, kind) = self.compiler.load(name)?;
        let Some(of) = Type::of(&kind) else {
            let what = format!("column `{name}` is {}, which expressions cannot use", kind_name(&kind));
            return Err(Error::Schema(what));
        };
        let known = self.found.iter().position(|(found, _)| *found == register);
        let at = known.unwrap_or_else(|| {
            self.found.push((register, kind));
            self.found.len() - 1
        });
        Ok((at, of))
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
