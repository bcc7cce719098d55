//! Tells the compiler of its own channel.

fn main() {
    let version = rustc_version::version_meta().unwrap();
    println!("cargo:rustc-env=CHANNEL={:?}", version.channel);
}
