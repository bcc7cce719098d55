//! Packs old records, with two compressors in C: `zstd-sys` is built by the `cc`
//! crate from some forty sources, one of them assembler, `libz-ng-sys` by `CMake`.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// Packs `bytes` with Zstandard.
pub fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    zstd::encode_all(bytes, 9)
}

/// Undoes [`pack`].
pub fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    zstd::decode_all(packed)
}

/// Packs `bytes` with gzip, for those who cannot read Zstandard.
pub fn pack_gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Undoes [`pack_gzip`].
pub fn unpack_gzip(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back() {
        let bytes = b"rope, rope, rope, lantern".repeat(100);
        assert_eq!(unpack(&pack(&bytes).unwrap()).unwrap(), bytes);
        assert_eq!(unpack_gzip(&pack_gzip(&bytes).unwrap()).unwrap(), bytes);
    }
}
