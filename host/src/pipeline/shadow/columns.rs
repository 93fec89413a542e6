//! Which columns of a step and its shadow are compared.

use arrow::datatypes::Schema;

use crate::plugin::{GivesBack, Step};
use crate::schema::type_name;

#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// Whether rows go on as themselves in both, so that each has its counterpart.
    pub by_row: bool,
    /// Columns of both, of the same type, in the step's order. Where rows are compared one by one, those that neither
    /// plugin gave are the input's, and so left out.
    pub compared: Vec<String>,
    /// What the schemas do not have in common, in words.
    pub unlike: Vec<String>,
}

impl Columns {
    pub fn of(primary: &Step, shadow: &Step) -> Self {
        let made = |step: &Step| match step.gives_back() {
            GivesBack::Nothing => Some(Vec::new()),
            GivesBack::Columns(made) => {
                Some(made.fields().iter().map(|field| field.name().clone()).collect())
            }
            GivesBack::Rows(_) => None,
        };
        let made = made(primary).zip(made(shadow)).map(|(primary, shadow)| [primary, shadow].concat());
        Self::new(primary.output_schema(), shadow.output_schema(), made.as_deref())
    }

    /// `made`: the columns that the plugins gave; none where one of them makes new rows.
    fn new(primary: &Schema, shadow: &Schema, made: Option<&[String]>) -> Self {
        let mut compared = Vec::new();
        let mut unlike = Vec::new();
        for field in primary.fields() {
            let (name, is_of) = (field.name(), type_name(field.data_type()));
            match shadow.field_with_name(name) {
                Err(_) => unlike.push(format!("`{name}` ({is_of}) is only the step's")),
                Ok(other) if other.data_type() != field.data_type() => {
                    let other = type_name(other.data_type());
                    unlike.push(format!("`{name}` is {is_of} in the step, {other} in the shadow"));
                }
                Ok(_) if made.is_none_or(|made| made.contains(name)) => compared.push(name.clone()),
                Ok(_) => {}
            }
        }
        for field in shadow.fields().iter().filter(|field| primary.field_with_name(field.name()).is_err()) {
            unlike.push(format!(
                "`{}` ({}) is only the shadow's",
                field.name(),
                type_name(field.data_type())
            ));
        }
        Self { by_row: made.is_some(), compared, unlike }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn only_what_can_differ_is_compared_and_the_rest_is_told() {
        let schema = |fields: &[(&str, DataType)]| {
            Schema::new(
                fields.iter().map(|(name, of)| Field::new(*name, of.clone(), true)).collect::<Vec<_>>(),
            )
        };
        let (text, number) = (DataType::Utf8, DataType::Int64);
        let primary =
            schema(&[("a", text.clone()), ("b", text.clone()), ("c", number.clone()), ("d", text.clone())]);
        let shadow = schema(&[("a", text.clone()), ("b", text.clone()), ("c", text), ("e", number)]);
        let columns = Columns::new(&primary, &shadow, Some(&["b".to_owned(), "c".to_owned()]));
        assert_eq!((columns.by_row, columns.compared), (true, vec!["b".to_owned()]));
        assert_eq!(
            columns.unlike,
            [
                "`c` is int64 in the step, utf8 in the shadow",
                "`d` (utf8) is only the step's",
                "`e` (int64) is only the shadow's"
            ]
        );
        let columns = Columns::new(&primary, &shadow, None);
        assert_eq!((columns.by_row, columns.compared), (false, vec!["a".to_owned(), "b".to_owned()]));
    }
}
