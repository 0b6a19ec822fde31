//! What this program was built from.

use kiln_artifacts::Build;
use kiln_files::sha256_hex;

const CARGO_LOCK: &[u8] = include_bytes!("../../../Cargo.lock");

/// Versions of Kiln, Burn and the compiler, and the hash of the locked dependencies.
pub(crate) fn build() -> Build {
    Build {
        kiln: env!("CARGO_PKG_VERSION").to_owned(),
        burn: env!("BUILD_BURN_VERSION").to_owned(),
        rustc: env!("BUILD_RUSTC_VERSION").to_owned(),
        cargo_lock_sha256: sha256_hex(CARGO_LOCK),
    }
}
