//! Finds a field by its name, expecting the order in which the last record had them.

use std::collections::HashMap;

pub(crate) struct Names {
    names: Vec<Box<str>>,
    by_name: HashMap<Box<str>, usize>,
    /// For each field, and first of all for the start of the object, the field that came next.
    next: Vec<usize>,
}

/// Where a search stands: before the first field, or after one.
#[derive(Clone, Copy, Default)]
pub(crate) struct Previous(usize);

impl Names {
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<Box<str>> = names.map(Box::from).collect();
        let by_name = names.iter().cloned().zip(0..).collect();
        let next = (0..=names.len()).collect();
        Self { names, by_name, next }
    }

    /// The field of this name, if there is one; it becomes the previous one.
    #[inline]
    pub(crate) fn find(&mut self, previous: &mut Previous, name: &str) -> Option<usize> {
        let expected = self.next.get(previous.0).copied().unwrap_or(0);
        if self.names.get(expected).is_some_and(|known| **known == *name) {
            *previous = Previous(expected + 1);
            return Some(expected);
        }
        let found = *self.by_name.get(name)?;
        if let Some(next) = self.next.get_mut(previous.0) {
            *next = found;
        }
        *previous = Previous(found + 1);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_is_found_and_learned() {
        let mut names = Names::new(["a", "b", "c"].into_iter());
        for order in [["a", "b", "c"], ["c", "a", "b"], ["c", "a", "b"], ["b", "x", "a"]] {
            let mut previous = Previous::default();
            let found = order.map(|name| names.find(&mut previous, name));
            assert_eq!(found, order.map(|name| ["a", "b", "c"].iter().position(|known| *known == name)));
        }
        assert_eq!(names.next, [1, 1, 0, 0]);
        assert_eq!(Names::new([].into_iter()).find(&mut Previous::default(), "a"), None);
    }
}
