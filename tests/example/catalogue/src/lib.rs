//! The products, in a map which `build.rs` generates.

/// A thing that the shop sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// What a customer calls it.
    pub name: &'static str,
    /// Its price.
    pub cents: u32,
    /// Its weight.
    pub grams: u32,
}

include!(concat!(env!("OUT_DIR"), "/products.rs"));

/// The product that has this code.
#[must_use]
pub fn product(code: &str) -> Option<Product> {
    PRODUCTS.get(code).copied()
}

/// How many products there are.
#[must_use]
pub fn len() -> usize {
    PRODUCTS.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_holds_what_the_table_says() {
        let sextant = Product {
            name: "Sextant",
            cents: 38_000,
            grams: 1_750,
        };
        assert_eq!(product("sextant"), Some(sextant));
        assert_eq!(product("parrot"), None);
        assert_eq!(len(), 5);
    }
}
