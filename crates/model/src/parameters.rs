//! The parameters of any Burn module: by path, as safetensors, and as one hash.
//!
//! Burn identifies a parameter by an id that is random in every process. Its path in the module, such as
//! `layers.0.weight`, is the same in all of them, so everything that is stored uses the path.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, TensorData};
use kiln_files::Hasher;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use crate::ModelError;
use crate::contract::values;

/// The name of the checkpoint file with the model's weights.
pub const MODEL_FILE: &str = "model.safetensors";

/// A named tensor of 32-bit floats on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The path in the module, such as `layers.0.weight`.
    pub name: String,
    /// The shape. The weights of linear layers are [inputs, outputs].
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub values: Vec<f32>,
}

impl Parameter {
    /// The parameter called `name` among `stored`. An error if it is missing or does not have this shape.
    pub fn find<'a>(stored: &'a [Self], name: &str, shape: &[usize]) -> Result<&'a Self, ModelError> {
        let error = |found: String| ModelError::Parameter {
            name: name.to_owned(),
            expected: format!("shape {shape:?}"),
            found,
        };
        let parameter = stored
            .iter()
            .find(|parameter| parameter.name == name)
            .ok_or_else(|| error("nothing".to_owned()))?;
        if parameter.shape == shape {
            Ok(parameter)
        } else {
            Err(error(format!("shape {:?}", parameter.shape)))
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
}

/// The parameters as the bytes of a safetensors file. An error if two parameters have the same name.
pub fn parameters_to_safetensors(parameters: &[Parameter]) -> Result<Vec<u8>, ModelError> {
    let bytes: Vec<Vec<u8>> = parameters.iter().map(Parameter::bytes).collect();
    let views = parameters
        .iter()
        .zip(&bytes)
        .map(|(parameter, bytes)| {
            let view = TensorView::new(Dtype::F32, parameter.shape.clone(), bytes)?;
            Ok((parameter.name.as_str(), view))
        })
        .collect::<Result<Vec<_>, ModelError>>()?;
    Ok(serialize(views, None)?)
}

/// The parameters in the bytes of a safetensors file, which must be 32-bit floats.
pub fn parameters_from_safetensors(bytes: &[u8]) -> Result<Vec<Parameter>, ModelError> {
    let file = SafeTensors::deserialize(bytes)?;
    file.iter()
        .map(|(name, view)| {
            if view.dtype() != Dtype::F32 {
                return Err(ModelError::Parameter {
                    name: name.to_owned(),
                    expected: "F32".to_owned(),
                    found: format!("{:?}", view.dtype()),
                });
            }
            let (chunks, _) = view.data().as_chunks::<4>();
            let values = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            Ok(Parameter { name: name.to_owned(), shape: view.shape().to_vec(), values })
        })
        .collect()
}

/// SHA-256 over all parameters in order (name, shape, little-endian values), in hexadecimal.
#[must_use]
pub fn weights_sha256(parameters: &[Parameter]) -> String {
    let mut hash = Hasher::default();
    for parameter in parameters {
        hash.update(parameter.name.as_bytes());
        for &size in &parameter.shape {
            hash.update((size as u64).to_le_bytes());
        }
        hash.update(parameter.bytes());
    }
    hash.finish()
}

/// A parameter of a module without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Burn's id, which differs in every process.
    pub id: ParamId,
    /// The path in the module, such as `layers.0.weight`.
    pub path: String,
    /// The shape.
    pub shape: Vec<usize>,
    /// Whether it has a gradient. Running means, for example, are stored but not trained.
    pub is_trained: bool,
}

/// The float parameters of `module` without their values, in the order in which Burn visits them.
#[must_use]
pub fn named<M: Module>(module: &M) -> Vec<Named> {
    read(module, |id, path, tensor| Named {
        id,
        path,
        shape: tensor.shape(),
        is_trained: tensor.is_trained(),
    })
}

/// The float parameters of `module` with their values, in the order in which Burn visits them.
#[must_use]
pub fn parameters<M: Module>(module: &M) -> Vec<Parameter> {
    read(module, |_, name, tensor| Parameter { name, shape: tensor.shape(), values: tensor.values() })
}

/// `module` with the values of `stored`, found by path. An error if a path is missing or a shape differs.
pub fn with_parameters<M: Module>(module: M, stored: &[Parameter]) -> Result<M, ModelError> {
    let mut loader = Loader { path: Vec::new(), stored, error: None };
    let module = module.map(&mut loader);
    loader.error.map_or(Ok(module), Err)
}

/// A tensor of any rank.
trait AnyRank {
    fn shape(&self) -> Vec<usize>;
    fn is_trained(&self) -> bool;
    fn values(&self) -> Vec<f32>;
}

impl<const D: usize> AnyRank for Tensor<D> {
    fn shape(&self) -> Vec<usize> {
        self.dims().to_vec()
    }

    fn is_trained(&self) -> bool {
        self.is_require_grad()
    }

    fn values(&self) -> Vec<f32> {
        values(self.clone())
    }
}

fn read<M: Module, T>(module: &M, one: impl FnMut(ParamId, String, &dyn AnyRank) -> T) -> Vec<T> {
    let mut reader = Reader { path: Vec::new(), one, found: Vec::new() };
    module.visit(&mut reader);
    reader.found
}

struct Reader<F, T> {
    path: Vec<String>,
    one: F,
    found: Vec<T>,
}

impl<T, F: FnMut(ParamId, String, &dyn AnyRank) -> T> ModuleVisitor for Reader<F, T> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let found = (self.one)(param.id, self.path.join("."), &param.val());
        self.found.push(found);
    }
}

struct Loader<'a> {
    path: Vec<String>,
    stored: &'a [Parameter],
    error: Option<ModelError>,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.val().dims();
        match Parameter::find(self.stored, &self.path.join("."), &shape) {
            Ok(found) => param.map(|tensor| {
                let data = TensorData::new(found.values.clone(), shape);
                let loaded = Tensor::from_data(data, &tensor.device());
                if tensor.is_require_grad() { loaded.require_grad() } else { loaded }
            }),
            Err(error) => {
                self.error.get_or_insert(error);
                param
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Vec<Parameter> {
        vec![
            Parameter {
                name: "layers.0.weight".into(),
                shape: vec![2, 2],
                values: vec![1.0, -0.0, 3.5, 1e-40],
            },
            Parameter { name: "layers.0.bias".into(), shape: vec![2], values: vec![0.1, 0.2] },
        ]
    }

    #[test]
    fn safetensors_keep_every_bit() {
        let bytes = parameters_to_safetensors(&parameters()).expect("unique names");
        let mut read = parameters_from_safetensors(&bytes).expect("just written");
        read.sort_by_key(|parameter| std::cmp::Reverse(parameter.name.clone()));
        assert_eq!(read, parameters());
        assert_eq!(read[0].values[1].to_bits(), (-0.0_f32).to_bits());
    }

    #[test]
    fn the_hash_sees_values_names_and_shapes() {
        let reference = weights_sha256(&parameters());
        let mut changed = parameters();
        changed[1].values[0] = f32::from_bits(0.1_f32.to_bits() + 1);
        assert_ne!(weights_sha256(&changed), reference);
        changed = parameters();
        changed[0].shape = vec![4, 1];
        assert_ne!(weights_sha256(&changed), reference);
        assert_eq!(reference.len(), 64);
    }

    #[test]
    fn absent_and_misshapen_parameters_are_named() {
        let error = Parameter::find(&parameters(), "layers.1.bias", &[2]).expect_err("absent");
        assert_eq!(error.to_string(), "stored parameter `layers.1.bias`: expected shape [2], found nothing");
        let error = Parameter::find(&parameters(), "layers.0.bias", &[3]).expect_err("another shape");
        assert_eq!(
            error.to_string(),
            "stored parameter `layers.0.bias`: expected shape [3], found shape [2]"
        );
    }
}
