//! Compiles templates.

fn main() {
    ructe::Ructe::from_env().unwrap().compile_templates("templates").unwrap();
}
