//! One line of what was found.

use std::fmt;

use serde_json::{Value, json};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grade {
    /// As it should be.
    Ok,
    /// Works, but look at it.
    Warn,
    /// Does not work.
    Fail,
}

/// What was looked at, what is the case, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) grade: Grade,
    what: String,
    says: String,
    fix: Option<String>,
}

impl Finding {
    pub(crate) fn ok(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self { grade: Grade::Ok, what: what.into(), says: says.into(), fix: None }
    }

    pub(crate) fn warn(what: impl Into<String>, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { grade: Grade::Warn, what: what.into(), says: says.into(), fix: Some(fix.into()) }
    }

    pub(crate) fn fail(what: impl Into<String>, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { grade: Grade::Fail, what: what.into(), says: says.into(), fix: Some(fix.into()) }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"grade": self.grade.word(), "what": self.what, "says": self.says, "fix": self.fix})
    }
}

impl Grade {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<5}{}: {}", self.grade.word(), self.what, self.says)?;
        match &self.fix {
            Some(fix) => write!(f, "\n     fix: {fix}"),
            None => Ok(()),
        }
    }
}
