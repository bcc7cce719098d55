//! Compiles a protobuf file with protoc.

fn main() {
    prost_build::compile_protos(&["src/answer.proto"], &["src"]).unwrap();
}
