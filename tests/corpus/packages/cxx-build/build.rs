//! Compiles a C++ function and the bridge to it.

fn main() {
    cxx_build::bridge("src/lib.rs").file("native/answer.cc").compile("answer");
}
