//! Writes a perfect hash map.

use std::io::Write as _;
fn main() {
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    let mut file = std::fs::File::create(out.join("map.rs")).unwrap();
    let mut map = phf_codegen::Map::new();
    map.entry("answer", "42").entry("question", "0");
    writeln!(file, "pub static MAP: phf::Map<&str, u8> = {};", map.build()).unwrap();
}
