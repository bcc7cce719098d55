//! Compiles the C++ in the library.

fn main() {
    cpp_build::build("src/lib.rs");
}
