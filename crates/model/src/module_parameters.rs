//! The parameters of any Burn module, named by their paths in it.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, TensorData};

use crate::classified::values;
use crate::{ModelError, Parameter};

/// A parameter's name: the same in every process, where Burn's id is another in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Burn's id.
    pub id: ParamId,
    /// The parameter's path, such as `layers.0.weight`.
    pub path: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether training changes it; running means, for one, are kept but not trained.
    pub is_trained: bool,
}

/// Every float parameter of `module` by name, in the order in which Burn visits them.
#[must_use]
pub fn named<M: Module>(module: &M) -> Vec<Named> {
    read(module, |id, path, tensor| Named {
        id,
        path,
        shape: tensor.shape(),
        is_trained: tensor.is_trained(),
    })
}

/// Every float parameter of `module` with its values, in the order in which Burn visits them.
#[must_use]
pub fn parameters<M: Module>(module: &M) -> Vec<Parameter> {
    read(module, |_, name, tensor| Parameter { name, shape: tensor.shape(), values: tensor.values() })
}

/// `module` with the values of `stored`; each parameter is found by its path.
///
/// # Errors
/// Where a path is absent or a shape differs.
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
