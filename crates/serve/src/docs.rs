//! The page at `/docs`: what `/openapi.json` says, to read. It asks nobody but this server.

/// The page.
pub(crate) const DOCS: &str = include_str!("docs.html");
