//! Writes parsers for the grammars in `src`.

fn main() {
    lalrpop::process_src().unwrap();
}
