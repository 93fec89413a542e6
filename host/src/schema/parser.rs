//! The recursive descent behind [`parse_type`](super::types::parse_type).

use std::collections::HashSet;

use arrow::datatypes::{DataType, Field};

use super::types::{MAX_TYPE_DEPTH, TypeError, list_type, map_type, timestamp_type};

pub(super) struct Parser<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    pub(super) fn data_type(&mut self, depth: usize) -> Result<DataType, TypeError> {
        self.skip_blanks();
        let start = self.position;
        if depth > MAX_TYPE_DEPTH {
            return Err(self.error_at(start, format!("no more than {MAX_TYPE_DEPTH} levels of nesting")));
        }
        let data_type = match self.word() {
            "boolean" => DataType::Boolean,
            "int8" => DataType::Int8,
            "int16" => DataType::Int16,
            "int32" => DataType::Int32,
            "int64" => DataType::Int64,
            "uint8" => DataType::UInt8,
            "uint16" => DataType::UInt16,
            "uint32" => DataType::UInt32,
            "uint64" => DataType::UInt64,
            "float32" => DataType::Float32,
            "float64" => DataType::Float64,
            "utf8" | "string" => DataType::Utf8,
            "binary" => DataType::Binary,
            "date" => DataType::Date32,
            "timestamp" => timestamp_type(),
            "decimal" => self.decimal()?,
            "list" => {
                self.symbol('<')?;
                let element = self.data_type(depth + 1)?;
                self.symbol('>')?;
                list_type(element)
            }
            "map" => self.map(depth)?,
            "struct" => self.fields(depth)?,
            _ => return Err(self.error_at(start, "a type (such as `int64`, `utf8` or `list<float64>`)")),
        };
        Ok(data_type)
    }

    pub(super) fn end(&mut self) -> Result<(), TypeError> {
        self.skip_blanks();
        if self.position == self.text.len() { Ok(()) } else { Err(self.error("the end")) }
    }

    fn decimal(&mut self) -> Result<DataType, TypeError> {
        self.symbol('(')?;
        let precision = self.number(1, 38, "a precision from 1 to 38")?;
        self.symbol(',')?;
        let scale = self.number(0, precision, "a scale from 0 to the precision")?;
        self.symbol(')')?;
        Ok(DataType::Decimal128(precision, scale as i8))
    }

    fn map(&mut self, depth: usize) -> Result<DataType, TypeError> {
        self.symbol('<')?;
        self.skip_blanks();
        let start = self.position;
        if !matches!(self.word(), "utf8" | "string") {
            return Err(self.error_at(start, "`utf8`, for the keys of a map are strings"));
        }
        self.symbol(',')?;
        let value = self.data_type(depth + 1)?;
        self.symbol('>')?;
        Ok(map_type(value))
    }

    fn fields(&mut self, depth: usize) -> Result<DataType, TypeError> {
        self.symbol('<')?;
        let mut fields = Vec::new();
        let mut names = HashSet::new();
        loop {
            self.skip_blanks();
            let start = self.position;
            let name = self.name()?;
            if !names.insert(name.to_lowercase()) {
                return Err(self.error_at(start, "a field name that is not there yet (letter case aside)"));
            }
            self.symbol(':')?;
            fields.push(Field::new(name, self.data_type(depth + 1)?, true));
            self.skip_blanks();
            if !self.rest().starts_with(',') {
                break;
            }
            self.position += 1;
        }
        self.symbol('>')?;
        Ok(DataType::Struct(fields.into()))
    }

    fn name(&mut self) -> Result<String, TypeError> {
        let start = self.position;
        if self.rest().starts_with('`') {
            return self.quoted_name();
        }
        let name = self.word();
        if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(self.error_at(start, "a field name (odd ones between backticks)"));
        }
        Ok(name.to_owned())
    }

    fn quoted_name(&mut self) -> Result<String, TypeError> {
        let start = self.position;
        self.position += 1;
        let mut name = String::new();
        loop {
            let Some((part, _)) = self.rest().split_once('`') else {
                return Err(self.error_at(start, "a closing backtick"));
            };
            name.push_str(part);
            self.position += part.len() + 1;
            if !self.rest().starts_with('`') {
                return Ok(name);
            }
            name.push('`');
            self.position += 1;
        }
    }

    fn number(&mut self, from: u8, to: u8, expected: &str) -> Result<u8, TypeError> {
        self.skip_blanks();
        let start = self.position;
        match self.word().parse::<u8>() {
            Ok(number) if (from..=to).contains(&number) => Ok(number),
            _ => Err(self.error_at(start, expected)),
        }
    }

    fn symbol(&mut self, symbol: char) -> Result<(), TypeError> {
        self.skip_blanks();
        if !self.rest().starts_with(symbol) {
            return Err(self.error(format!("`{symbol}`")));
        }
        self.position += symbol.len_utf8();
        Ok(())
    }

    /// Letters, digits and underscores; possibly none.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.position += end;
        rest.get(..end).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn error(&self, expected: impl Into<String>) -> TypeError {
        self.error_at(self.position, expected)
    }

    fn error_at(&self, position: usize, expected: impl Into<String>) -> TypeError {
        let found: String = self.text.get(position..).unwrap_or_default().chars().take(20).collect();
        let found = if found.is_empty() { "the end".to_owned() } else { format!("`{found}`") };
        TypeError { position, expected: expected.into(), found }
    }
}
