//! Many runs compared with care, and small networks traced by hand.

mod trace;

pub use trace::{Kind, Quantity, Trace, TraceError, TraceFile, trace};
