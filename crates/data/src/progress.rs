//! How a long transfer tells the program how far it is.

/// Told about transfers while data is loaded; the program shows them, this crate never prints.
///
/// Every `begin` is followed by exactly one `end`, also when the transfer fails.
pub trait Progress: Sync {
    /// A transfer of `what` begins; `total_bytes` is its size where that is known.
    fn begin(&self, what: &str, total_bytes: Option<u64>);

    /// `bytes` more have arrived.
    fn advance(&self, bytes: u64);

    /// The transfer is over.
    fn end(&self);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _what: &str, _total_bytes: Option<u64>) {}

    fn advance(&self, _bytes: u64) {}

    fn end(&self) {}
}
