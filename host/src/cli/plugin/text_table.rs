//! Columns of text, aligned for a terminal.

/// Lines in which the cells of a column begin at the same place. Rows may be shorter than others; nothing follows
/// the last cell of a row.
pub fn aligned<R: AsRef<[String]>>(rows: &[R], gap: usize) -> Vec<String> {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &R| {
        let mut line = String::new();
        for (cell, width) in row.as_ref().iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + gap));
        }
        line.truncate(line.trim_end().len());
        line
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_begin_where_their_column_does() {
        let rows = [vec!["a", "bb", "c"], vec!["äöü", "", "d"], vec!["x"]]
            .map(|row| row.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(aligned(&rows, 2), ["a    bb  c", "äöü      d", "x"]);
    }
}
