//! How wide text is when set in DejaVu Sans.

/// Width of `text` at `size`, in the unit of `size`; within some percent, for layout only.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(em).sum::<f64>() * size
}

/// Advance of a character as a share of the font size, rounded from the font's own table.
fn em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '\'' => 0.28,
        ' ' | 'I' | '.' | ',' | ':' | ';' | '|' | '/' => 0.33,
        'f' | 'r' | 't' | '(' | ')' | '-' => 0.39,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.95,
        '+' | '=' | '<' | '>' | '×' => 0.84,
        c if c.is_uppercase() => 0.70,
        _ => 0.62,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_letters_take_more_than_narrow_ones() {
        assert!(text_width("WWW", 12.0) > 2.0 * text_width("iii", 12.0));
        assert_eq!(text_width("", 12.0), 0.0);
    }
}
