//! One check: what was looked at, how it stands, what that means, and what can be done.

use serde::Serialize;

/// How something stands, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Without it no script can be jailed.
    Missing,
    /// The jail does without it, and is weaker or slower for it, or something beside it is.
    Degraded,
    /// As it should be.
    Ok,
    /// It could not be tried, or there is nothing to be tried.
    NotApplicable,
}

/// What a check belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// A script run in the whole jail.
    Jail,
    /// What a script must not be able to do.
    Attempts,
    /// Landlock by itself.
    Landlock,
    /// The seccomp filter and its listener.
    Seccomp,
    /// What the warden needs to know of processes.
    Processes,
    /// Directories and limits.
    Places,
    /// Cargo, rustc, and how they find this program.
    Toolchain,
}

impl Group {
    /// Its name, as a person reads it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Jail => "Jail",
            Self::Attempts => "Attempts",
            Self::Landlock => "Landlock",
            Self::Seccomp => "Seccomp",
            Self::Processes => "Processes",
            Self::Places => "Places",
            Self::Toolchain => "Toolchain",
        }
    }
}

/// See the file's description.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Its name, which stays what it is.
    pub id: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// How it stands.
    pub state: State,
    /// What that means for the jail here: a sentence.
    pub meaning: String,
    /// What to do where it is missing or degraded: a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Check {
    fn new(id: &'static str, group: Group, state: State, meaning: impl Into<String>) -> Self {
        Self { id, group, state, meaning: meaning.into(), advice: None }
    }

    /// As it should be.
    #[must_use]
    pub fn ok(id: &'static str, group: Group, meaning: impl Into<String>) -> Self {
        Self::new(id, group, State::Ok, meaning)
    }

    /// Not tried.
    #[must_use]
    pub fn not_applicable(id: &'static str, group: Group, meaning: impl Into<String>) -> Self {
        Self::new(id, group, State::NotApplicable, meaning)
    }

    /// The jail does without it.
    #[must_use]
    pub fn degraded(
        id: &'static str,
        group: Group,
        meaning: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let advice = Some(advice.into());
        Self { advice, ..Self::new(id, group, State::Degraded, meaning) }
    }

    /// No jail without it.
    #[must_use]
    pub fn missing(
        id: &'static str,
        group: Group,
        meaning: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let advice = Some(advice.into());
        Self { advice, ..Self::new(id, group, State::Missing, meaning) }
    }
}
