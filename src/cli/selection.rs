//! A part of what a script does, as it is named on a command line.

use std::fmt::{self, Display};
use std::str::FromStr;

use clap::ValueEnum;

use crate::audit::behaviour::Aspect;

/// A part of a behaviour, as it is named on a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Which side.
    pub aspect: Aspect,
    /// Which value; none is all.
    pub value: Option<String>,
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (aspect, value) = match text.split_once('=') {
            Some((aspect, value)) => (aspect, Some(value.to_owned())),
            None => (text, None),
        };
        Ok(Self { aspect: Aspect::from_str(aspect, false)?, value })
    }
}

impl Selection {
    /// Whether a value is in it.
    #[must_use]
    pub fn includes(&self, aspect: Aspect, value: &str) -> bool {
        self.aspect == aspect && self.value.as_deref().is_none_or(|selected| selected == value)
    }
}

impl Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.aspect),
            None => write!(f, "{}", self.aspect),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aspect_or_one_value_of_it_is_selected() {
        let only = |text: &str| text.parse::<Selection>();
        let curl = only("programs=curl").unwrap();
        assert!(curl.includes(Aspect::Programs, "curl") && !curl.includes(Aspect::Programs, "cc"));
        assert!(only("reads").unwrap().includes(Aspect::Reads, "x") && only("read").is_err());
    }
}
