//! Paths and other texts as parts of URIs (RFC 3986).

use std::fmt::Write;

/// A path in a URI: all but `/` and the unreserved characters (section 2.3) as percent and digits, a `:`
/// too, which would make the beginning of a relative path a scheme (4.2).
#[must_use]
pub fn path(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            write!(uri, "%{byte:02X}").expect("a String takes it all");
        }
    }
    uri
}

/// An absolute path as a URI (RFC 8089).
#[must_use]
pub fn file(absolute: &str) -> String {
    format!("file://{}", path(absolute))
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_leaves_the_path() {
        assert_eq!(super::path("a b/é?x#y:%0A\n"), "a%20b/%C3%A9%3Fx%23y%3A%250A%0A");
        assert_eq!(super::file("/a-b/c.d_~"), "file:///a-b/c.d_~");
    }
}
