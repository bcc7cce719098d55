//! Writes bindings of OpenGL.

use gl_generator::{Api, Fallbacks, GlobalGenerator, Profile, Registry};
fn main() {
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    let mut file = std::fs::File::create(out.join("bindings.rs")).unwrap();
    Registry::new(Api::Gl, (3, 3), Profile::Core, Fallbacks::All, [])
        .write_bindings(GlobalGenerator, &mut file)
        .unwrap();
}
