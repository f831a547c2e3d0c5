//! Tables: rows with names as CSV, cells as markdown.

use serde::Serialize;

/// Why a table cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A row cannot be written as CSV.
    #[error("write row of table")]
    Row(#[from] csv::Error),
    /// A row has not as many cells as there are headings.
    #[error("row {row} of table has {got} cells, and there are {wanted} headings")]
    Cells {
        /// Which row.
        row: usize,
        /// Headings.
        wanted: usize,
        /// Its cells.
        got: usize,
    },
}

/// `rows` as CSV with the names of their fields as the first line; without rows there is none.
///
/// # Errors
/// [`TableError::Row`] when a row has a field that is no single value.
pub fn csv_bytes<R: Serialize>(rows: impl IntoIterator<Item = R>) -> Result<Vec<u8>, TableError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    writer.into_inner().map_err(|error| TableError::Row(error.into_error().into()))
}

/// A markdown table. A column of numbers only is set to the right.
///
/// # Errors
/// [`TableError::Cells`] when a row is longer or shorter than the headings.
pub fn markdown(headings: &[&str], rows: &[Vec<String>]) -> Result<String, TableError> {
    let wanted = headings.len();
    if let Some((row, cells)) = rows.iter().enumerate().find(|(_, cells)| cells.len() != wanted) {
        return Err(TableError::Cells { row, wanted, got: cells.len() });
    }
    let is_number = |column: usize| {
        let mut cells =
            rows.iter().filter_map(|row| row.get(column)).filter(|cell| !is_missing(cell)).peekable();
        cells.peek().is_some() && cells.all(|cell| starts_as_number(cell))
    };
    let rule = (0..wanted).map(|column| if is_number(column) { "---:" } else { "---" }.to_owned());
    let mut text = line(headings.iter().map(|heading| (*heading).to_owned()));
    text.push_str(&line(rule));
    for row in rows {
        text.push_str(&line(row.iter().cloned()));
    }
    Ok(text)
}

/// A number with `digits` behind the point, or a dash where there is none.
pub fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.map(|cell| cell.replace('|', "\\|").replace(['\n', '\r'], " ")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn is_missing(cell: &str) -> bool {
    matches!(cell.trim(), "" | "-")
}

/// Also of a number with a unit, a sign or an interval behind it.
fn starts_as_number(cell: &str) -> bool {
    let digits = cell.trim().trim_start_matches(['+', '-', '<', '>', '~', ' ']);
    digits.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Row {
        method: String,
        layer: Option<u16>,
        kbit: f64,
    }

    #[test]
    fn fields_name_the_columns() {
        let rows = [Row { method: "lite, int8".into(), layer: Some(35), kbit: 5.5 }];
        let text = String::from_utf8(csv_bytes(rows).unwrap()).unwrap();
        assert_eq!(text, "method,layer,kbit\n\"lite, int8\",35,5.5\n");
    }

    #[test]
    fn numbers_are_set_to_the_right() {
        let rows = [vec!["lite".to_owned(), cell(Some(5.46), 1)], vec!["a|b".to_owned(), cell(None, 1)]];
        let text = markdown(&["method", "kbit"], &rows).unwrap();
        assert_eq!(text, "| method | kbit |\n| --- | ---: |\n| lite | 5.5 |\n| a\\|b | - |\n");
    }

    #[test]
    fn a_short_row_is_refused() {
        let found = markdown(&["a", "b"], &[vec!["1".into(), "2".into()], vec!["3".into()]]);
        assert!(matches!(found, Err(TableError::Cells { row: 1, wanted: 2, got: 1 })));
    }

    proptest! {
        #[test]
        fn csv_round_trips(rows in prop::collection::vec((".*", prop::option::of(0u16..500), -1e6f64..1e6), 1..10)) {
            let rows: Vec<Row> =
                rows.into_iter().map(|(method, layer, kbit)| Row { method, layer, kbit }).collect();
            let bytes = csv_bytes(rows.clone()).unwrap();
            let back: Vec<Row> =
                csv::Reader::from_reader(bytes.as_slice()).deserialize().map(Result::unwrap).collect();
            prop_assert_eq!(back, rows);
        }
    }
}
