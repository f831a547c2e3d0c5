//! `VOCDIR:SET`: pictures that may steer decisions.

use std::{fmt, path::PathBuf, str::FromStr};

use anyhow::Context as _;
use autotiler_eval::PictureSet;

/// Pictures with their truth, none that results are reported on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    data: PathBuf,
    set: String,
}

/// Why a text names no pictures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadSource {
    /// No list.
    #[error("{0:?} names no list of pictures: write VOCDIR:SET, like VOCdevkit:val or generated:val")]
    NoSet(String),
    /// Pictures that results are reported on.
    #[error("the set {0}: decisions must not see test pictures; use a set like val")]
    Test(String),
}

impl Source {
    /// Opens the first `limit` pictures.
    pub(super) fn open(&self, limit: Option<usize>, classes: &[String]) -> anyhow::Result<PictureSet> {
        let set = PictureSet::open(&self.data, &self.set, limit, classes);
        set.with_context(|| format!("--data {self}"))
    }
}

impl FromStr for Source {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, BadSource> {
        // The last colon: directories may have some.
        let (data, set) = text.rsplit_once(':').unwrap_or((text, ""));
        if data.is_empty() || set.is_empty() {
            return Err(BadSource::NoSet(text.to_owned()));
        }
        if set.contains("test") {
            return Err(BadSource::Test(set.to_owned()));
        }
        Ok(Self { data: data.into(), set: set.to_owned() })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.data.display(), self.set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_follows_the_last_colon_and_is_no_test_set() {
        let source: Source = "a:b:val,train".parse().unwrap();
        assert_eq!(source, Source { data: "a:b".into(), set: "val,train".to_owned() });
        assert_eq!(source.to_string(), "a:b:val,train");
        assert!(matches!("VOCdevkit".parse::<Source>(), Err(BadSource::NoSet(_))));
        assert!(matches!("d:val,test_voc".parse::<Source>(), Err(BadSource::Test(_))));
        assert!("tests:val".parse::<Source>().is_ok(), "a directory may be called so");
    }
}
