//! Takes a directory of files in.

fn main() {
    static_files::resource_dir("assets").build().unwrap();
}
