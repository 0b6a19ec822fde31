//! The pictures of a study.

mod curves;
mod intervals;
mod scale;
mod svg;

pub(crate) use curves::curves;
pub(crate) use intervals::intervals;
pub(crate) use svg::escaped;
