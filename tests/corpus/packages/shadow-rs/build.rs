//! Writes down what is known of the build and of the commit.

fn main() {
    shadow_rs::ShadowBuilder::builder().build().unwrap();
}
