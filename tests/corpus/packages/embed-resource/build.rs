//! Compiles a resource, where there are resources.

fn main() {
    drop(embed_resource::compile("native/answer.rc", embed_resource::NONE));
}
