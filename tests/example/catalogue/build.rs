//! Turns `data/products.csv` of the workspace, which lies outside this package, into
//! a perfect hash map in `OUT_DIR`.

use std::env;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

const PRODUCTS: &str = "../data/products.csv";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PRODUCTS}");

    let table = fs::read_to_string(PRODUCTS).expect("the workspace has a table of products");
    let mut map = phf_codegen::Map::new();
    for line in table.lines().skip(1) {
        let [code, name, cents, grams] = line
            .split(',')
            .collect::<Vec<_>>()
            .try_into()
            .expect("each line has four fields");
        map.entry(
            code,
            format!("Product {{ name: {name:?}, cents: {cents}, grams: {grams} }}"),
        );
    }

    let out = Path::new(&env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR")).join("products.rs");
    let mut file = BufWriter::new(File::create(out).expect("OUT_DIR can be written to"));
    writeln!(
        file,
        "static PRODUCTS: phf::Map<&'static str, Product> = {};",
        map.build()
    )
    .and_then(|()| file.flush())
    .expect("the code can be written");
}
