//! What an optimizer remembers, under names that are the same in every process.
//!
//! Burn's record of an optimizer has each value under the id of its parameter, which is random in every process. A
//! checkpoint has it under the parameter's path: `layers.0.weight.first`.

use std::collections::BTreeMap;

use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::tensor::{Bytes, DType};
use burn_pack::{Reader, Scalar, Tensor, Writer};
use kiln_model::{ModelError, Named, Parameter};
use serde::{Deserialize, Serialize};

/// What an optimizer remembers besides tensors, such as the number of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Number {
    Bool(bool),
    UInt(u64),
    Int(i64),
    Float(f64),
}

/// An optimizer's memory by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct OptimizerState {
    pub(crate) tensors: Vec<Parameter>,
    pub(crate) numbers: BTreeMap<String, Number>,
}

impl OptimizerState {
    /// What `optimizer` remembers of the parameters in `named`.
    pub(crate) fn of(optimizer: &ModuleOptimizer, named: &[Named]) -> Self {
        let bytes = optimizer.to_record().into_bytes().expect("a record in memory is written whole");
        let reader = Reader::from_bytes(bytes).expect("just written");
        let numbers = reader
            .scalars()
            .iter()
            .filter_map(|(name, value)| Some((with_path(name, named)?, Number::from(*value))));
        let numbers = numbers.collect();
        let tensors = reader.into_tensors().expect("just written").into_iter().filter_map(|tensor| {
            let (name, _, shape, _, bytes) = tensor.into_parts().expect("just written");
            let (values, _) = bytes.as_chunks::<4>();
            let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            Some(Parameter { name: with_path(&name, named)?, shape: shape.to_vec(), values })
        });
        let mut tensors: Vec<Parameter> = tensors.collect();
        tensors.sort_by(|left, right| left.name.cmp(&right.name));
        Self { tensors, numbers }
    }

    /// `optimizer` with this memory of the parameters in `named`.
    ///
    /// # Errors
    /// Where something is kept of a parameter that the model does not have.
    pub(crate) fn restore(
        self,
        optimizer: ModuleOptimizer,
        named: &[Named],
    ) -> Result<ModuleOptimizer, ModelError> {
        let mut paths = BTreeMap::new();
        let tensors = self.tensors.into_iter().map(|Parameter { name, shape, values }| {
            let (parameter, name) = with_id(&name, named)?;
            paths.insert(parameter.id.val().to_string(), parameter.path.clone());
            // The first version kept moments flat.
            let shape = if shape.len() == 1 { parameter.shape.clone() } else { shape };
            let bytes = Bytes::from_bytes_vec(values.iter().flat_map(|value| value.to_le_bytes()).collect());
            Ok(Tensor::new(name, DType::F32, shape, Some(parameter.id.val()), bytes))
        });
        let tensors = tensors.collect::<Result<Vec<_>, ModelError>>()?;
        let mut writer = Writer::new(tensors);
        for (name, number) in self.numbers {
            let (parameter, name) = with_id(&name, named)?;
            paths.insert(parameter.id.val().to_string(), parameter.path.clone());
            writer = writer.with_scalar(&name, Scalar::from(number));
        }
        for (id, path) in &paths {
            writer = writer.with_metadata(id, path);
        }
        let record = writer.into_bytes().ok().and_then(|bytes| OptimizerRecord::from_bytes(bytes).ok());
        Ok(optimizer.load_record(record.expect("a record in memory is read as it was written")))
    }
}

/// `{id}.{field}` as `{path}.{field}`.
fn with_path(name: &str, named: &[Named]) -> Option<String> {
    let (id, field) = name.split_once('.')?;
    let parameter = named.iter().find(|parameter| parameter.id.val().to_string() == id)?;
    Some(format!("{}.{field}", parameter.path))
}

/// The parameter of `{path}.{field}`, and `{id}.{field}`.
fn with_id<'a>(name: &str, named: &'a [Named]) -> Result<(&'a Named, String), ModelError> {
    let field = |parameter: &Named| Some(name.strip_prefix(&parameter.path)?.strip_prefix('.')?.to_owned());
    let found = named.iter().find_map(|parameter| Some((parameter, field(parameter)?)));
    let (parameter, field) = found.ok_or_else(|| ModelError::Parameter {
        name: name.to_owned(),
        expected: "memory of a parameter of the model".to_owned(),
        found: "none of that name".to_owned(),
    })?;
    Ok((parameter, format!("{}.{field}", parameter.id.val())))
}

impl From<Scalar> for Number {
    fn from(value: Scalar) -> Self {
        match value {
            Scalar::Int(value) => u64::try_from(value).map_or(Self::Int(value), Self::UInt),
            Scalar::UInt(value) => Self::UInt(value),
            Scalar::Float(value) => Self::Float(value),
            Scalar::Bool(value) => Self::Bool(value),
        }
    }
}

impl From<Number> for Scalar {
    fn from(value: Number) -> Self {
        match value {
            Number::Int(value) => Self::Int(value),
            Number::UInt(value) => Self::UInt(value),
            Number::Float(value) => Self::Float(value),
            Number::Bool(value) => Self::Bool(value),
        }
    }
}
