//! What the texts in a policy document have to look like.

use super::diagnostic::{Mistake, similar};
use super::endpoint::Endpoint;
use super::placeholders;

/// So many parts of a path can have a `*`: each looks through all directories that the others find.
const MOST_STARS: usize = 3;

fn mistake(message: impl Into<String>) -> Mistake {
    Mistake { message: message.into(), help: None }
}

/// Whether a text is a path as [`super::resolve`] takes it.
pub(super) fn path(text: &str) -> Result<(), Mistake> {
    let rest = if let Some(rest) = text.strip_prefix('{') {
        let (name, rest) =
            rest.split_once('}').ok_or_else(|| mistake("a placeholder ends with `}`"))?;
        if !placeholders::NAMES.contains(&name) {
            let help = match similar(name, placeholders::NAMES) {
                Some(similar) => format!("did you mean `{{{similar}}}`?"),
                None => there_are(placeholders::NAMES),
            };
            let message = format!("there is no placeholder `{{{name}}}`");
            return Err(Mistake { message, help: Some(help) });
        }
        if !rest.is_empty() && !rest.starts_with('/') {
            return Err(mistake("a placeholder is followed by a `/` or by nothing"));
        }
        rest
    } else if text.starts_with('/') {
        text
    } else {
        let help = if text.starts_with('~') {
            "the home directory is `{home}`".to_owned()
        } else {
            "write `{package}/…`, `{workspace}/…` or another placeholder before it".to_owned()
        };
        let message = "a path begins with `/` or with a placeholder".to_owned();
        return Err(Mistake { message, help: Some(help) });
    };
    if rest.contains('\0') {
        return Err(mistake("a path has no NUL in it"));
    }
    let mut parts = rest.split('/').skip(1);
    if parts.clone().any(|part| part == ".." || part == ".") {
        return Err(mistake("`.` and `..` are not followed in a rule: it would match nothing"));
    }
    if parts.clone().filter(|part| part.contains('*')).count() > MOST_STARS {
        let message = "at most three parts of a path have a `*`: more of them name half a disk";
        return Err(mistake(message));
    }
    if rest.len() > 1 && rest.ends_with('/') {
        return Err(mistake("a directory is named without a `/` at its end"));
    }
    if rest != "/" && parts.any(str::is_empty) {
        return Err(mistake("a part of this path is empty: it would match nothing"));
    }
    Ok(())
}

/// Whether a text is a path that can be hidden.
pub(super) fn hidden(text: &str) -> Result<(), Mistake> {
    if text == placeholders::OTHER_PROCESSES { Ok(()) } else { path(text) }
}

/// Whether a text is an address with a port that a script may be let connect to.
pub(super) fn endpoint(text: &str) -> Result<(), Mistake> {
    Endpoint::parse(text).map(drop)
}

/// Whether a text is the path of a Unix socket.
pub(super) fn unix_socket(text: &str) -> Result<(), Mistake> {
    if text.starts_with('@') {
        return Err(mistake("an abstract name is nobody's: whoever comes first has it (unix(7))"));
    }
    path(text)
}

/// Whether a text is a pattern of names of variables.
pub(super) fn variable(text: &str) -> Result<(), Mistake> {
    if text.is_empty() {
        return Err(mistake("a variable has a name"));
    }
    if let Some(character) = text.chars().find(|c| *c == '=' || c.is_whitespace() || c.is_control())
    {
        let shown = character.escape_debug();
        return Err(mistake(format!("no variable's name has a `{shown}` in it")));
    }
    Ok(())
}

/// Whether a text is a pattern of instructions: `KEY=VALUE`.
pub(super) fn instruction(text: &str) -> Result<(), Mistake> {
    let text = text.strip_prefix("cargo::").or_else(|| text.strip_prefix("cargo:")).unwrap_or(text);
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() && !key.contains('*') => Ok(()),
        _ => Err(Mistake {
            message: "an instruction is a key, `=` and a value".to_owned(),
            help: Some("for instance \"rustc-link-arg=-fuse-ld=lld\"; `*` stands for any part of the value".to_owned()),
        }),
    }
}

pub(super) fn is_package_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
}

pub(super) fn listed(words: &[&str], conjunction: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => {
            format!("{} {conjunction} {last}", rest.join(", "))
        }
        _ => quoted.concat(),
    }
}

pub(super) fn there_are(words: &[&str]) -> String {
    let verb = if words.len() == 1 { "is" } else { "are" };
    format!("there {verb} {}", listed(words, "and"))
}
