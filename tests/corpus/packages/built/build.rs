//! Writes down what is known of the build.

fn main() {
    built::write_built_file().unwrap();
}
