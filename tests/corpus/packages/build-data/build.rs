//! Tells the compiler of rustc's version.

fn main() {
    build_data::set_RUSTC_VERSION();
    build_data::no_debug_rebuilds();
}
