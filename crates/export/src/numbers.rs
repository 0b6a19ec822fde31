//! Numbers in files.

/// The numbers that follow each other in `bytes`, each read by `one`; what is left behind the last is no number.
pub(crate) fn numbers<T, const N: usize>(bytes: &[u8], one: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|bytes| one(*bytes)).collect()
}
