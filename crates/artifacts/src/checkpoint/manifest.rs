//! `manifest.json`: what a checkpoint holds, and how to tell that it still does.

use kiln_files::sha256_hex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Damage;

pub(super) const FILE_NAME: &str = "manifest.json";

/// Counts up when an older Kiln could not read what a newer one saves.
const FORMAT_VERSION: u32 = 1;

/// Stands in the manifest's own checksum while that is computed.
const NO_CHECKSUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The content of `manifest.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format_version: u32,
    /// SHA-256 of this file with 64 zeros in place of the checksum: the caller's metadata lies here, so a
    /// flipped bit here matters as much as one in the weights.
    #[serde(rename = "manifest_sha256")]
    checksum: String,
    pub(super) step: u64,
    pub(super) files: Vec<Entry>,
    pub(super) meta: Value,
}

/// A file of a checkpoint.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Manifest {
    pub(super) fn new(step: u64, meta: &Value, files: &[(&str, &[u8])]) -> Self {
        let files = files
            .iter()
            .map(|(name, bytes)| Entry {
                name: (*name).to_owned(),
                bytes: bytes.len() as u64,
                sha256: sha256_hex(bytes),
            })
            .collect();
        let checksum = NO_CHECKSUM.to_owned();
        Self { format_version: FORMAT_VERSION, checksum, step, files, meta: meta.clone() }
    }

    pub(super) fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a manifest has nothing that JSON lacks") + "\n";
        // The checksum comes before everything that a caller decides, so the first match is the field.
        text.replacen(NO_CHECKSUM, &sha256_hex(text.as_bytes()), 1)
    }

    /// Reads a manifest of `step`, and holds it to its checksum byte for byte.
    pub(super) fn from_json(bytes: &[u8], step: u64) -> Result<Self, Damage> {
        let text = str::from_utf8(bytes).map_err(|problem| Damage::Manifest(problem.to_string()))?;
        let manifest: Self =
            serde_json::from_str(text).map_err(|problem| Damage::Manifest(problem.to_string()))?;
        if manifest.format_version != FORMAT_VERSION {
            let version = manifest.format_version;
            return Err(Damage::Manifest(format!("format version {version} is unknown to this Kiln")));
        }
        let found = sha256_hex(text.replacen(&manifest.checksum, NO_CHECKSUM, 1).as_bytes());
        if found != manifest.checksum {
            return Err(Damage::Hash { expected: manifest.checksum, found });
        }
        if manifest.step != step {
            return Err(Damage::Manifest(format!("it belongs to step {}", manifest.step)));
        }
        Ok(manifest)
    }
}
