//! Typed reading of one section's options.

use std::{fmt::Display, str::FromStr};

use super::{
    cfg::{Entry, Section},
    error::{CfgError, CfgFault},
};
use crate::op::Activation;

/// Largest size, count or step that a cfg may ask for.
const MAX_COUNT: usize = 65_535;

/// The options of a section, remembering which were read.
pub(super) struct Options<'a> {
    section: &'a Section,
    read: Vec<&'static str>,
}

impl<'a> Options<'a> {
    pub(super) fn new(section: &'a Section) -> Self {
        Self { section, read: Vec::new() }
    }

    /// A fault of the section as a whole.
    pub(super) fn fault(&self, fault: CfgFault) -> CfgError {
        CfgError { line: self.section.line, section: self.section.name.clone(), fault }
    }

    /// A fault of one option, or of the section when the option is absent.
    pub(super) fn fault_at(&self, key: &str, fault: CfgFault) -> CfgError {
        let line = self.section.entries.iter().find(|e| e.key == key).map_or(self.section.line, |e| e.line);
        CfgError { line, section: self.section.name.clone(), fault }
    }

    fn value_fault(&self, entry: &Entry, expected: impl Display) -> CfgError {
        let (key, value) = (entry.key.clone(), entry.value.clone());
        let fault = CfgFault::Value { key, value, expected: expected.to_string() };
        CfgError { line: entry.line, section: self.section.name.clone(), fault }
    }

    fn entry(&mut self, key: &'static str) -> Option<&'a Entry> {
        self.read.push(key);
        self.section.entries.iter().find(|entry| entry.key == key)
    }

    /// A whole number from `least` up, or `default` when absent.
    pub(super) fn count(
        &mut self,
        key: &'static str,
        least: usize,
        default: usize,
    ) -> Result<usize, CfgError> {
        Ok(self.count_if_any(key, least)?.unwrap_or(default))
    }

    /// A whole number from `least` up that must be there.
    pub(super) fn required(&mut self, key: &'static str, least: usize) -> Result<usize, CfgError> {
        self.count_if_any(key, least)?.ok_or_else(|| self.fault(CfgFault::MissingKey(key)))
    }

    /// A whole number from `least` up, if it is there.
    pub(super) fn count_if_any(
        &mut self,
        key: &'static str,
        least: usize,
    ) -> Result<Option<usize>, CfgError> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match entry.value.parse() {
            Ok(count) if (least..=MAX_COUNT).contains(&count) => Ok(Some(count)),
            _ => Err(self.value_fault(entry, format_args!("a whole number from {least} to {MAX_COUNT}"))),
        }
    }

    /// 0 or 1.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, CfgError> {
        let Some(entry) = self.entry(key) else { return Ok(default) };
        match entry.value.as_str() {
            "0" => Ok(false),
            "1" => Ok(true),
            _ => Err(self.value_fault(entry, "0 or 1")),
        }
    }

    /// A finite number.
    pub(super) fn number(&mut self, key: &'static str, default: f32) -> Result<f32, CfgError> {
        let Some(entry) = self.entry(key) else { return Ok(default) };
        match entry.value.parse::<f32>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(self.value_fault(entry, "a number")),
        }
    }

    /// Values between commas; none when the option is absent.
    pub(super) fn list<T: FromStr>(&mut self, key: &'static str) -> Result<Vec<T>, CfgError> {
        let Some(entry) = self.entry(key) else { return Ok(Vec::new()) };
        let parts = entry.value.strip_suffix(',').unwrap_or(&entry.value).split(',');
        parts
            .map(|part| part.parse().map_err(|_| self.value_fault(entry, "numbers between commas")))
            .collect()
    }

    /// A point-wise function by its Darknet name.
    pub(super) fn activation(&mut self, default: Activation) -> Result<Activation, CfgError> {
        let Some(entry) = self.entry("activation") else { return Ok(default) };
        match entry.value.as_str() {
            "linear" => Ok(Activation::Linear),
            "leaky" => Ok(Activation::Leaky),
            "relu" => Ok(Activation::Relu),
            "relu6" => Ok(Activation::Relu6),
            "mish" => Ok(Activation::Mish),
            "swish" => Ok(Activation::Swish),
            "logistic" => Ok(Activation::Logistic),
            _ => Err(self.value_fault(entry, "linear, leaky, relu, relu6, mish, swish or logistic")),
        }
    }

    /// Refuses an option unless it has the one value that changes nothing.
    pub(super) fn only(&mut self, key: &'static str, value: &str) -> Result<(), CfgError> {
        match self.entry(key) {
            Some(entry) if entry.value.parse::<f32>().ok() != value.parse().ok() && entry.value != value => {
                Err(self.value_fault(entry, format_args!("{value} (nothing else is supported)")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses options that were neither read nor are among `without_meaning` for inference.
    pub(super) fn finish(self, without_meaning: &[&str]) -> Result<(), CfgError> {
        let known = |key: &str| self.read.contains(&key) || without_meaning.contains(&key);
        match self.section.entries.iter().find(|entry| !known(&entry.key)) {
            Some(entry) => Err(self.fault_at(&entry.key, CfgFault::UnknownKey(entry.key.clone()))),
            None => Ok(()),
        }
    }
}
