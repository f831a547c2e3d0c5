//! Colours that people with any colour vision tell apart, and one colour for one method in all plots.
//!
//! The palette is that of Okabe and Ito, "Color Universal Design" (2008); its yellow, too pale for a line on
//! white, is darkened.

use plotters::style::RGBColor;

/// A colour, red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Colour(pub u8, pub u8, pub u8);

impl Colour {
    /// Black.
    pub const BLACK: Self = Self(0x00, 0x00, 0x00);
    /// Orange.
    pub const ORANGE: Self = Self(0xE6, 0x9F, 0x00);
    /// Sky blue.
    pub const SKY: Self = Self(0x56, 0xB4, 0xE9);
    /// Bluish green.
    pub const GREEN: Self = Self(0x00, 0x9E, 0x73);
    /// Yellow, darkened.
    pub const YELLOW: Self = Self(0xC8, 0xB4, 0x00);
    /// Blue.
    pub const BLUE: Self = Self(0x00, 0x72, 0xB2);
    /// Vermilion.
    pub const VERMILION: Self = Self(0xD5, 0x5E, 0x00);
    /// Reddish purple.
    pub const PURPLE: Self = Self(0xCC, 0x79, 0xA7);
    /// Grey.
    pub const GREY: Self = Self(0x7F, 0x7F, 0x7F);
    /// Brown; not of Okabe and Ito's, for there are more methods than they have colours.
    pub const BROWN: Self = Self(0x8C, 0x51, 0x0A);

    /// This colour, `share` (0 to 1) of the way to white.
    pub fn tint(self, share: f64) -> Self {
        let mix = |x: u8| (f64::from(x) + (255.0 - f64::from(x)) * share.clamp(0.0, 1.0)).round() as u8;
        Self(mix(self.0), mix(self.1), mix(self.2))
    }

    pub(crate) fn rgb(self) -> RGBColor {
        RGBColor(self.0, self.1, self.2)
    }
}

/// All colours of series, those that differ most first.
pub const PALETTE: [Colour; 10] = [
    Colour::VERMILION,
    Colour::BLUE,
    Colour::GREEN,
    Colour::ORANGE,
    Colour::SKY,
    Colour::PURPLE,
    Colour::BLACK,
    Colour::YELLOW,
    Colour::BROWN,
    Colour::GREY,
];

/// Names of methods, in lower case; a name that begins like another stands before it.
const METHODS: [(&str, Colour); 21] = [
    ("lite", Colour::VERMILION),
    ("omni", Colour::PURPLE),
    ("klt", Colour::BLUE),
    ("plain", Colour::GREEN),
    ("tiling", Colour::GREEN),
    ("paper-solo", Colour::YELLOW),
    ("independent", Colour::YELLOW),
    ("paper", Colour::ORANGE),
    ("variable", Colour::ORANGE),
    ("auto-tiler", Colour::ORANGE),
    ("ae", Colour::SKY),
    ("autoencoder", Colour::SKY),
    ("picture", Colour::BLACK),
    ("hevc", Colour::BLACK),
    ("jpeg", Colour::GREY),
    ("fpc", Colour::BROWN),
    ("frame per channel", Colour::BROWN),
    ("raw", Colour::BLACK),
    ("train", Colour::BLUE),
    ("val", Colour::VERMILION),
    ("rate", Colour::GREEN),
];

/// The colour of a method, the same in every plot: that of the first method that `name` begins with, else one
/// of the palette that depends on the name alone.
pub fn colour_of(name: &str) -> Colour {
    let name = name.trim().to_lowercase();
    let is = |method: &str| {
        name.strip_prefix(method)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
    };
    match METHODS.iter().find(|(method, _)| is(method)) {
        Some((_, colour)) => *colour,
        // FNV-1a.
        None => {
            let hash = name
                .bytes()
                .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
            PALETTE[hash as usize % PALETTE.len()]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_keeps_its_colour_at_every_point() {
        assert_eq!(colour_of("lite"), colour_of("Lite CR4, layer 35"));
        assert_eq!(colour_of("Tiling"), colour_of("plain"));
        assert_ne!(colour_of("paper"), colour_of("paper-solo CR4"));
        assert_ne!(colour_of("paper"), colour_of("klt"));
    }

    #[test]
    fn an_unknown_name_always_gets_the_same_colour() {
        assert_eq!(colour_of("something else"), colour_of("something else"));
        // "aerial" is no "ae".
        assert_eq!(colour_of("aerial"), colour_of("AERIAL"));
    }

    #[test]
    fn a_full_tint_is_white() {
        assert_eq!(Colour::BLUE.tint(1.0), Colour(255, 255, 255));
        assert_eq!(Colour::BLUE.tint(0.0), Colour::BLUE);
    }
}
