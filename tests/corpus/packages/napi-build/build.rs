//! Sets a library for Node.js up.

fn main() {
    napi_build::setup();
}
