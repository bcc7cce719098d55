//! Compiles a protobuf file without protoc.

fn main() {
    protobuf_codegen::Codegen::new()
        .pure()
        .include("src")
        .input("src/answer.proto")
        .cargo_out_dir("protos")
        .run_from_script();
}
