//! From a row with a list to a row for each element.

use sluicebox_kernels::{NULL, gather};
use sluicebox_plugin::{Column, Error, Kind, Place, Values, field, kind_name};

use crate::config::Config;
use crate::part::Part;

/// How rows become more rows.
pub struct Exploded {
    /// Which of the parts is the list.
    list: usize,
    element: String,
    index: Option<String>,
    keep_empty: bool,
}

impl Exploded {
    /// The explosion, and what comes out of it: the parts of the input, the element in the list's place, the index last.
    pub fn new(list: &str, config: &Config, places: &[Place]) -> Result<(Exploded, Vec<Part>), Error> {
        let Some(at) = places.iter().position(|place| place.field().name == list) else {
            let names: Vec<&str> = places.iter().map(|place| place.field().name.as_str()).collect();
            return Err(Error::Schema(format!(
                "there is no column `{list}`; there are {}",
                names.join(", ")
            )));
        };
        let kind = places[at].kind();
        if *kind != Kind::ListOf {
            return Err(Error::Schema(format!("column `{list}` is {}, not a list", kind_name(kind))));
        }
        let element = config.element.clone().unwrap_or_else(|| list.to_owned());
        let exploded =
            Exploded { list: at, element, index: config.index.clone(), keep_empty: config.keep_empty };
        let mut parts: Vec<Part> = places.iter().map(|place| Part::of_fields(place.fields())).collect();
        parts[at] = exploded.element(std::mem::replace(&mut parts[at], Part::of_fields(&[])));
        parts.extend(exploded.index.iter().map(|name| Part::of_fields(&[field(name, Kind::Int64)])));
        Ok((exploded, parts))
    }

    /// The part of the elements of a list's part.
    fn element(&self, mut list: Part) -> Part {
        list.fields.remove(0);
        if let Some(first) = list.fields.first_mut() {
            first.name.clone_from(&self.element);
            first.nullable = true;
        }
        if !list.columns.is_empty() {
            list.columns.remove(0);
        }
        list
    }

    /// The parts of the new rows, and how many these are.
    pub fn apply(&self, mut parts: Vec<Part>, rows: usize) -> Result<(Vec<Part>, usize), Error> {
        let numbers = match parts.get(self.list).and_then(|part| part.columns.first()) {
            Some(Column { values: Values::Offsets(offsets), validity, .. }) => {
                Numbers::new(offsets, validity.as_deref(), rows, self.keep_empty)
            }
            _ => return Err(Error::Data("the host sent no lists for a list column".into())),
        };
        for (at, part) in parts.iter_mut().enumerate() {
            let numbers = if at == self.list {
                *part = self.element(std::mem::replace(part, Part::of_fields(&[])));
                let elements = part.columns.first().map_or(0, |column| column.length as usize);
                // Where each element becomes a row, in order, they are there already.
                if numbers.are_all(elements) {
                    continue;
                }
                &numbers.elements
            } else {
                &numbers.rows
            };
            part.columns = gather(&part.fields, &part.columns, numbers);
        }
        let count = numbers.rows.len();
        if let Some(name) = &self.index {
            parts.push(Part { fields: vec![field(name, Kind::Int64)], columns: vec![numbers.into_index()] });
        }
        Ok((parts, count))
    }
}

/// Of each new row.
struct Numbers {
    /// The number of the row that it comes from.
    rows: Vec<i32>,
    /// The number of its element among all of them, or [`NULL`].
    elements: Vec<i32>,
    /// The position of its element in its list; any where there is none.
    positions: Vec<i64>,
}

impl Numbers {
    fn new(offsets: &[i32], validity: Option<&[u8]>, rows: usize, keep_empty: bool) -> Numbers {
        let all = offsets.last().map_or(0, |last| *last as usize);
        let mut numbers = Numbers {
            rows: Vec::with_capacity(all),
            elements: Vec::with_capacity(all),
            positions: Vec::with_capacity(all),
        };
        for row in 0..rows {
            // What lies under a null is no element of it.
            let is_present = validity.is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 == 1);
            let elements = if is_present { offsets[row]..offsets[row + 1] } else { 0..0 };
            if elements.is_empty() && keep_empty {
                numbers.rows.push(row as i32);
                numbers.elements.push(NULL);
                numbers.positions.push(0);
            }
            numbers.rows.extend(std::iter::repeat_n(row as i32, elements.len()));
            numbers.positions.extend(0..elements.len() as i64);
            numbers.elements.extend(elements);
        }
        numbers
    }

    /// Whether these are all of so many elements, each once and in order.
    fn are_all(&self, elements: usize) -> bool {
        self.elements.len() == elements && !self.elements.contains(&NULL)
    }

    fn into_index(self) -> Column {
        let present = sluicebox_plugin::Bitmap::of_values(&self.elements, |element| element != NULL);
        let validity = (!present.all_set()).then(|| present.into_bytes());
        Column { length: self.positions.len() as u32, validity, values: Values::Int64(self.positions) }
    }
}
