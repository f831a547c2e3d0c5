//! One picture: 8-bit RGB, row by row.

/// A picture in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height * width * 3` values: red, green, blue of each pixel, rows from the top.
    pub rgb: Vec<u8>,
}
