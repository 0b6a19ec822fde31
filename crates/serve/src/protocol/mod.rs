//! The Open Inference Protocol v2, with Triton's extensions for binary tensors and classification.

mod describe;
mod examples;
mod infer;
mod outputs;
mod request;

pub(crate) use self::describe::{index, model_metadata, server_metadata};
pub(crate) use self::examples::{MATRIX, PIXELS, check_rows};
pub(crate) use self::infer::infer;
pub(crate) use self::outputs::{OUTPUTS, check_finite};
#[cfg(feature = "grpc")]
pub(crate) use self::{
    describe::{ModelMetadata, ServerMetadata, TensorMetadata},
    examples::examples,
    infer::{Asked, answered},
    outputs::wanted,
    request::OutputAsked,
};
