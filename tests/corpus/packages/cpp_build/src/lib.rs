//! A function with C++ in it.

cpp::cpp! {{ #include <cstdint> }}
pub fn answer() -> i32 {
    unsafe { cpp::cpp!([] -> i32 as "int32_t" { return 42; }) }
}
