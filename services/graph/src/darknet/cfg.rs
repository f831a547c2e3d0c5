//! The text of a network: sections of options.

use std::fmt;

use super::error::{CfgError, CfgFault};

/// A cfg by sections; the first is `[net]`, the others are layers in order.
///
/// Like Darknet, all blanks are dropped, and lines that begin with `#` or `;` are comments. Unlike Darknet,
/// a comment may also follow an option on its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cfg {
    sections: Vec<Section>,
}

/// One `[section]` with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Name without brackets.
    pub name: String,
    /// Line of the name, from 1.
    pub line: usize,
    /// Options in order.
    pub entries: Vec<Entry>,
}

/// One `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is set.
    pub key: String,
    /// To what; may be empty.
    pub value: String,
    /// Line, from 1.
    pub line: usize,
}

impl Cfg {
    /// Reads the text. Only the form is checked here; layers are checked when weights are read or a network
    /// is built.
    ///
    /// # Errors
    /// [`CfgError`] for a line of no known form, an option twice with different values, or a text that does
    /// not begin with its only `[net]`.
    pub fn parse(text: &str) -> Result<Self, CfgError> {
        let mut sections: Vec<Section> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != '\u{feff}').collect();
            let text = text.split(['#', ';']).next().unwrap_or_default();
            if text.is_empty() {
                continue;
            }
            if text.starts_with('[') {
                sections.push(section(text, line)?);
            } else {
                option(text, line, sections.last_mut())?;
            }
        }
        check_net(&sections)?;
        Ok(Self { sections })
    }

    /// The `[net]` section.
    pub fn net(&self) -> &Section {
        self.sections.first().expect("parse refuses a cfg without [net]")
    }

    /// The layers' sections, in order: the position is the layer's number.
    pub fn layers(&self) -> &[Section] {
        self.sections.get(1..).unwrap_or_default()
    }

    /// The same network without batch normalisation, to go with [`Weights::fold`](super::Weights::fold).
    #[must_use]
    pub fn folded(&self) -> Self {
        let mut folded = self.clone();
        for section in &mut folded.sections {
            section.entries.retain(|entry| entry.key != "batch_normalize");
        }
        folded
    }

    /// The same network for pictures of another size.
    #[must_use]
    pub fn resized(&self, width: usize, height: usize) -> Self {
        let mut resized = self.clone();
        for (key, side) in [("width", width), ("height", height)] {
            for entry in resized.sections.iter_mut().take(1).flat_map(|net| &mut net.entries) {
                if entry.key == key {
                    entry.value = side.to_string();
                }
            }
        }
        resized
    }
}

impl fmt::Display for Cfg {
    /// The text that [`Cfg::parse`] reads, without comments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, section) in self.sections.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "[{}]", section.name)?;
            for entry in &section.entries {
                writeln!(f, "{}={}", entry.key, entry.value)?;
            }
        }
        Ok(())
    }
}

fn section(text: &str, line: usize) -> Result<Section, CfgError> {
    let name = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match name {
        Some(name) if !name.is_empty() && !name.contains(['[', ']']) => {
            Ok(Section { name: name.to_owned(), line, entries: Vec::new() })
        }
        _ => Err(CfgError { line, section: String::new(), fault: CfgFault::Syntax(text.to_owned()) }),
    }
}

fn option(text: &str, line: usize, section: Option<&mut Section>) -> Result<(), CfgError> {
    let Some(section) = section else {
        return Err(CfgError { line, section: String::new(), fault: CfgFault::OutsideSection });
    };
    let error = |fault| CfgError { line, section: section.name.clone(), fault };
    let (key, value) = match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => (key, value),
        _ => return Err(error(CfgFault::Syntax(text.to_owned()))),
    };
    if let Some(earlier) = section.entries.iter().find(|entry| entry.key == key) {
        let same = earlier.value == value;
        return if same { Ok(()) } else { Err(error(CfgFault::DuplicateKey(key.to_owned()))) };
    }
    section.entries.push(Entry { key: key.to_owned(), value: value.to_owned(), line });
    Ok(())
}

fn check_net(sections: &[Section]) -> Result<(), CfgError> {
    let is_net = |section: &Section| matches!(section.name.as_str(), "net" | "network");
    let error = |line, section: &str, fault| Err(CfgError { line, section: section.to_owned(), fault });
    match sections {
        [] => error(0, "", CfgFault::Net),
        [net] if is_net(net) => error(net.line, &net.name, CfgFault::NoLayers),
        [net, ..] if !is_net(net) => error(net.line, &net.name, CfgFault::Net),
        [_, layers @ ..] => match layers.iter().find(|section| is_net(section)) {
            Some(second) => error(second.line, &second.name, CfgFault::Net),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault(text: &str) -> (usize, CfgFault) {
        let error = Cfg::parse(text).unwrap_err();
        (error.line, error.fault)
    }

    #[test]
    fn blanks_and_comments_are_dropped() {
        let cfg = Cfg::parse("# a\n[net]\n width = 8 ; b\n\n;c\n[ dropout ]\nlayers = -1, 2 # d\n").unwrap();
        assert_eq!(cfg.to_string(), "[net]\nwidth=8\n\n[dropout]\nlayers=-1,2\n");
        assert_eq!((cfg.layers()[0].line, cfg.layers()[0].entries[0].line), (6, 7));
    }

    #[test]
    fn faults_of_form_have_their_line() {
        assert_eq!(fault(""), (0, CfgFault::Net));
        assert_eq!(fault("[net]\nwidth=8"), (1, CfgFault::NoLayers));
        assert_eq!(fault("\n[dropout]\n"), (2, CfgFault::Net));
        assert_eq!(fault("[net]\n[dropout]\n[net]"), (3, CfgFault::Net));
        assert_eq!(fault("width=8"), (1, CfgFault::OutsideSection));
        assert_eq!(fault("[net]\nwidth 8"), (2, CfgFault::Syntax("width8".into())));
        assert_eq!(fault("[net]\n=8"), (2, CfgFault::Syntax("=8".into())));
        assert_eq!(fault("[net"), (1, CfgFault::Syntax("[net".into())));
        assert_eq!(fault("[net]\nw=1\nw=1\nw=2"), (4, CfgFault::DuplicateKey("w".into())));
    }

    #[test]
    fn folding_drops_batch_normalisation_and_nothing_else() {
        let cfg = Cfg::parse("[net]\nwidth=8\n[convolutional]\nbatch_normalize=1\nfilters=3\n").unwrap();
        assert_eq!(cfg.folded().to_string(), "[net]\nwidth=8\n\n[convolutional]\nfilters=3\n");
        assert!(cfg.resized(16, 8).to_string().contains("width=16"));
    }

    fn layout() -> impl Strategy<Value = Vec<(String, Vec<(String, String)>)>> {
        let options = prop::collection::vec(("[a-z_]{1,8}", "[-a-z0-9.,=]{0,8}"), 0..5);
        prop::collection::vec(("[a-mo-z]{1,9}", options), 1..6)
    }

    proptest! {
        #[test]
        fn text_round_trips(layers in layout()) {
            let mut text = String::from("[net]\nwidth=1\n");
            for (name, options) in &layers {
                text += &format!(" [ {name} ]# c\n");
                for (index, (key, value)) in options.iter().enumerate() {
                    text += &format!("{key}{index} = {value}\n");
                }
            }
            let written = Cfg::parse(&text).unwrap().to_string();
            prop_assert_eq!(Cfg::parse(&written).unwrap().to_string(), written.clone());
            prop_assert_eq!(Cfg::parse(&written).unwrap().layers().len(), layers.len());
        }
    }
}
