//! Views of work in progress, on stderr.

mod download;
mod json;
mod plain;
mod study;
mod study_watch;
pub(crate) mod summary;

pub(crate) use download::DownloadBar;
pub(crate) use json::Json;
pub(crate) use plain::Plain;
pub(crate) use study::study_view;
pub(crate) use study_watch::StudyWatch;
