//! The rule that would have allowed what the jail refused, as a line of a policy.

use crate::policy::collection::Giving;
use crate::policy::placeholders::Placeholders;
use crate::stored::StoredAccess;

/// See the file's description. `giving` is what the collection would give the package.
///
/// # Errors
/// Why there is no such rule, as a phrase.
pub fn allowing(
    access: &StoredAccess<'_>,
    known: &Placeholders,
    giving: Option<&Giving>,
) -> Result<String, &'static str> {
    if access.path_hex.is_some() && access.kind.right().is_some() {
        return Err("no rule can name this path, which is not UTF-8");
    }
    crate::policy::allowing::allowing(access.kind, &access.path, known, giving)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(kind: &str, path: &str, rest: &str) -> String {
        let path = serde_json::to_string(path).unwrap();
        format!(
            r#"{{"kind":"{kind}","path":{path},"outcome":"denied","count":1,"process":0{rest}}}"#
        )
    }

    fn rule(kind: &str, path: &str) -> String {
        let text = access(kind, path, "");
        let access: StoredAccess = serde_json::from_str(&text).unwrap();
        allowing(&access, &Placeholders::default(), None).unwrap()
    }

    #[test]
    fn a_rule_is_about_what_has_to_be_granted() {
        assert_eq!(rule("read", "/a/b"), r#"files.read = ["/a/b"]"#);
        assert_eq!(rule("list", "/a"), r#"files.list = ["/a"]"#);
        assert_eq!(rule("execute", "/a/\"é\""), r#"files.execute = ["/a/\"é\""]"#);
        assert_eq!(rule("write", "/a/b"), r#"files.write = ["/a/b"]"#);
        let expected = r#"files.write = ["/a"]  # and everything below it"#;
        assert_eq!(rule("create", "/a/b"), expected);
        assert_eq!(rule("remove", "/b"), r#"files.write = ["/"]  # and everything below it"#);
        for (kind, rest) in [("stat", ""), ("read", r#","path_hex":"2fff""#)] {
            let text = access(kind, "/x", rest);
            let access: StoredAccess = serde_json::from_str(&text).unwrap();
            assert!(allowing(&access, &Placeholders::default(), None).is_err());
        }
    }
}
