//! The bridge to a C++ function.

#[cxx::bridge]
mod ffi {
    unsafe extern "C++" {
        include!("corpus-cxx-build/native/answer.h");
        fn answer() -> i32;
    }
}
pub use ffi::answer;
