//! Signed receipts: `serde` with its derive writes them, `ring`, whose build script
//! assembles and compiles with the `cc` crate, signs them, and the workspace's own macro
//! names their fields.

use describe::Describe;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// What a customer gets.
#[derive(Clone, Debug, Deserialize, Describe, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The code of the product.
    pub code: String,
    /// What was paid.
    pub cents: u32,
}

impl Receipt {
    /// The receipt as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a receipt has no map with odd keys")
    }

    /// Undoes [`Receipt::to_json`].
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }
}

/// Signs with the shop's key, whose seed is no secret.
#[must_use]
pub fn sign(message: &[u8]) -> Vec<u8> {
    key().sign(message).as_ref().to_vec()
}

/// Whether the shop signed this.
#[must_use]
pub fn verify(message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key().public_key())
        .verify(message, signature)
        .is_ok()
}

/// The SHA-256 digest of `message`.
#[must_use]
pub fn sha256(message: &[u8]) -> Vec<u8> {
    digest(&SHA256, message).as_ref().to_vec()
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed has thirty-two bytes")
}
