//! Writes a C header for the library.

fn main() {
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    cbindgen::generate(package).unwrap().write_to_file(out.join("corpus.h"));
}
