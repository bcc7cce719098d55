//! What goes over the wire, with the machine's OpenSSL: `openssl-sys` finds it through
//! pkg-config and expands its headers to learn the version.

use openssl::error::ErrorStack;
use openssl::sha::sha256;
use openssl::symm::{Cipher, decrypt, encrypt};

const KEY: &[u8; 32] = b"a key of thirty-two bytes, known";
const NONCE: &[u8; 16] = b"used once, maybe";

/// Makes `message` unreadable.
pub fn seal(message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    encrypt(Cipher::aes_256_cbc(), KEY, Some(NONCE), message)
}

/// Undoes [`seal`].
pub fn open(sealed: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    decrypt(Cipher::aes_256_cbc(), KEY, Some(NONCE), sealed)
}

/// The SHA-256 digest of `message`.
#[must_use]
pub fn digest(message: &[u8]) -> Vec<u8> {
    sha256(message).to_vec()
}
