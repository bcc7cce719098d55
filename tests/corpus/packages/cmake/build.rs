//! Builds a C library with CMake.

fn main() {
    let built = cmake::Config::new("native").define("WITH_ANSWER", "ON").build();
    println!("cargo:rustc-link-search=native={}/lib", built.display());
    println!("cargo:rustc-link-lib=static=answer");
}
