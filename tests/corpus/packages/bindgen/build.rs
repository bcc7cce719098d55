//! Declares the functions of a C header.

fn main() {
    let bindings = bindgen::builder().header("native/answer.h").generate().unwrap();
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    bindings.write_to_file(out.join("answer.rs")).unwrap();
}
