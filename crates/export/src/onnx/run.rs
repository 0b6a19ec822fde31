//! An independent evaluator for ONNX files, which runs them operator by operator, like ONNX's reference evaluator.
//!
//! It reads the bytes of the exported file and shares no code with Kiln's kernels: it uses plain loops in double precision
//! and rounds results to single precision where the graph has that type. It supports the operators that [`super::onnx`]
//! writes.

use std::collections::HashMap;

use prost::Message;
use rayon::prelude::*;

use super::proto::{AttributeProto, DataType, ModelProto, NodeProto, TensorProto};

/// A tensor of numbers or words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Data,
}

/// The values of a [`Tensor`], row-major. Numbers of all types are stored in double precision, which represents them
/// exactly.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Numbers(DataType, Vec<f64>),
    Words(Vec<String>),
}

/// A decoded file.
pub(crate) struct Program {
    nodes: Vec<NodeProto>,
    constants: HashMap<String, Tensor>,
    outputs: Vec<String>,
}

impl Program {
    /// Decodes an ONNX file.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let model = ModelProto::decode(bytes).map_err(|error| error.to_string())?;
        let graph = model.graph.ok_or("no graph")?;
        let constants =
            graph.initializer.iter().map(|constant| Ok((constant.name.clone(), Tensor::of(constant)?)));
        Ok(Self {
            constants: constants.collect::<Result<_, String>>()?,
            outputs: graph.output.into_iter().map(|output| output.name).collect(),
            nodes: graph.node,
        })
    }

    /// The outputs for `inputs`, in the order of the file.
    pub(crate) fn run<'b>(&'b self, inputs: Vec<(&'b str, Tensor)>) -> Result<Vec<Tensor>, String> {
        let mut values: HashMap<&str, Tensor> = inputs.into_iter().collect();
        for node in &self.nodes {
            let mut inputs = Vec::new();
            for name in &node.input {
                let found = values.get(name.as_str()).or_else(|| self.constants.get(name));
                inputs
                    .push(found.ok_or_else(|| format!("{} needs {name}, which does not exist", node.name))?);
            }
            let result =
                Operation { node, inputs }.result().map_err(|error| format!("{}: {error}", node.name))?;
            values.insert(&node.output[0], result);
        }
        let mut outputs = Vec::new();
        for name in &self.outputs {
            outputs.push(values.remove(name.as_str()).ok_or_else(|| format!("no output {name}"))?);
        }
        Ok(outputs)
    }
}

impl Tensor {
    pub(crate) fn numbers(kind: DataType, shape: Vec<usize>, values: Vec<f64>) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        Self { shape, data: Data::Numbers(kind, values) }
    }

    fn of(constant: &TensorProto) -> Result<Self, String> {
        let shape = constant.dims.iter().map(|size| *size as usize).collect();
        let floats = || Some(constant.floats()?.into_iter().map(f64::from).collect());
        let ints = || Some(constant.ints()?.into_iter().map(|value| value as f64).collect());
        let values: Option<Vec<f64>> = floats().or_else(|| constant.doubles()).or_else(ints);
        let values =
            values.ok_or_else(|| format!("constant {} has an unsupported data type", constant.name))?;
        Ok(Self::numbers(constant.data_type(), shape, values))
    }

    pub(crate) fn values(&self) -> Result<&[f64], String> {
        match &self.data {
            Data::Numbers(_, values) => Ok(values),
            Data::Words(_) => Err("words where numbers are needed".to_owned()),
        }
    }

    fn kind(&self) -> DataType {
        match &self.data {
            Data::Numbers(kind, _) => *kind,
            Data::Words(_) => DataType::String,
        }
    }

    fn ints(&self) -> Result<Vec<i64>, String> {
        Ok(self.values()?.iter().map(|value| *value as i64).collect())
    }
}

/// A node with its inputs.
struct Operation<'a> {
    node: &'a NodeProto,
    inputs: Vec<&'a Tensor>,
}

impl Operation<'_> {
    fn result(&self) -> Result<Tensor, String> {
        match &*self.node.op_type {
            "Identity" => Ok(self.inputs[0].clone()),
            "Add" => self.pairwise(None, |a, b| a + b),
            "Sub" => self.pairwise(None, |a, b| a - b),
            "Mul" => self.pairwise(None, |a, b| a * b),
            "Div" => self.pairwise(None, |a, b| a / b),
            "Max" => self.pairwise(None, |a, b| if a.is_nan() { a } else { a.max(b) }),
            "Or" => self.pairwise(None, |a, b| f64::from(u8::from(a != 0.0 || b != 0.0))),
            "Equal" => self.pairwise(Some(DataType::Bool), |a, b| f64::from(u8::from(a == b))),
            "Less" => self.pairwise(Some(DataType::Bool), |a, b| f64::from(u8::from(a < b))),
            "GreaterOrEqual" => self.pairwise(Some(DataType::Bool), |a, b| f64::from(u8::from(a >= b))),
            "IsNaN" => self.each(Some(DataType::Bool), |x| f64::from(u8::from(x.is_nan()))),
            "Floor" => self.each(None, f64::floor),
            "Sqrt" => self.each(None, f64::sqrt),
            "Log" => self.each(None, f64::ln),
            "Cos" => self.each(None, f64::cos),
            "Erf" => self.each(None, libm::erf),
            "Tanh" => self.each(None, f64::tanh),
            "Sigmoid" => self.each(None, |x| 1.0 / (1.0 + (-x).exp())),
            "Softplus" => self.each(None, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
            "Relu" => self.each(None, |x| if x <= 0.0 { 0.0 } else { x }),
            "LeakyRelu" => {
                let alpha = f64::from(self.attribute("alpha").map_or(0.01, |attribute| attribute.f));
                self.each(None, |x| if x < 0.0 { alpha * x } else { x })
            }
            // The standard's default values of both attributes.
            "Selu" => self.each(None, |x| {
                let (alpha, gamma) = (f64::from(1.673_263_2_f32), f64::from(1.050_701_f32));
                gamma * if x > 0.0 { x } else { alpha * x.exp_m1() }
            }),
            "Clip" => {
                let (least, greatest) = (self.inputs[1].values()?[0], self.inputs[2].values()?[0]);
                self.each(None, |x| {
                    if x < least {
                        least
                    } else if x > greatest {
                        greatest
                    } else {
                        x
                    }
                })
            }
            "Cast" => self.cast(),
            "Where" => self.choose(),
            "LabelEncoder" => self.look_up(),
            "Gather" => self.gather(),
            "Concat" => self.concat(),
            "Flatten" => {
                let input = self.inputs[0];
                let rest = input.shape[1..].iter().product();
                self.reshaped(vec![input.shape[0], rest])
            }
            "Reshape" => {
                let wanted = self.inputs[1].ints()?;
                let known: i64 = wanted.iter().filter(|size| **size >= 0).product();
                let all = self.inputs[0].shape.iter().product::<usize>() as i64;
                let size = |size: &i64| if *size < 0 { all / known.max(1) } else { *size } as usize;
                self.reshaped(wanted.iter().map(size).collect())
            }
            "Squeeze" => {
                let axes = self.inputs[1].ints()?;
                let kept = |(axis, size): (usize, &usize)| (!axes.contains(&(axis as i64))).then_some(*size);
                self.reshaped(self.inputs[0].shape.iter().enumerate().filter_map(kept).collect())
            }
            "Unsqueeze" => {
                let mut shape = self.inputs[0].shape.clone();
                for axis in self.inputs[1].ints()? {
                    shape.insert(axis as usize, 1);
                }
                self.reshaped(shape)
            }
            "Transpose" => self.transpose(),
            "Gemm" => self.gemm(),
            "MatMul" => self.matmul(),
            "Softmax" => self.by_row(|row| {
                let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = row.iter().map(|value| (value - greatest).exp()).collect();
                let total: f64 = powers.iter().sum();
                powers.into_iter().map(|power| power / total).collect()
            }),
            "ReduceSum" => self.by_row(|row| vec![row.iter().sum()]),
            "ArgMax" => {
                let first = |row: &[f64]| {
                    let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
                    vec![(1..row.len()).fold(0, better) as f64]
                };
                let found = self.by_row(first)?;
                Ok(Tensor::numbers(DataType::Int64, vec![found.shape[0]], found.values()?.to_vec()))
            }
            other => Err(format!("operator {other} is not supported")),
        }
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// The output tensor with `values`, in the precision of `kind`.
    fn rounded(kind: DataType, shape: Vec<usize>, mut values: Vec<f64>) -> Tensor {
        if kind == DataType::Float {
            for value in &mut values {
                *value = f64::from(*value as f32);
            }
        }
        Tensor::numbers(kind, shape, values)
    }

    fn each(&self, kind: Option<DataType>, function: impl Fn(f64) -> f64) -> Result<Tensor, String> {
        let input = self.inputs[0];
        let values = input.values()?.iter().map(|value| function(*value)).collect();
        Ok(Self::rounded(kind.unwrap_or(input.kind()), input.shape.clone(), values))
    }

    fn pairwise(&self, kind: Option<DataType>, function: impl Fn(f64, f64) -> f64) -> Result<Tensor, String> {
        let [left, right] = [self.inputs[0], self.inputs[1]];
        if left.kind() != right.kind() {
            return Err(format!("{:?} and {:?}", left.kind(), right.kind()));
        }
        let shape = broadcast(&left.shape, &right.shape)?;
        let places = places(&left.shape, &shape).zip(places(&right.shape, &shape));
        let (a, b) = (left.values()?, right.values()?);
        let values = places.map(|(at, other)| function(a[at], b[other])).collect();
        Ok(Self::rounded(kind.unwrap_or(left.kind()), shape, values))
    }

    fn choose(&self) -> Result<Tensor, String> {
        let [condition, yes, no] = [self.inputs[0], self.inputs[1], self.inputs[2]];
        let shape = broadcast(&broadcast(&condition.shape, &yes.shape)?, &no.shape)?;
        let (conditions, a, b) = (condition.values()?, yes.values()?, no.values()?);
        let values = places(&condition.shape, &shape)
            .zip(places(&yes.shape, &shape).zip(places(&no.shape, &shape)))
            .map(|(at, (yes, no))| if conditions[at] == 0.0 { b[no] } else { a[yes] });
        Ok(Self::rounded(yes.kind(), shape.clone(), values.collect()))
    }

    fn cast(&self) -> Result<Tensor, String> {
        let to = self.attribute("to").ok_or("no kind to cast to")?.i;
        let kinds = [DataType::Float, DataType::Double, DataType::Int64, DataType::Bool];
        let kind = kinds
            .into_iter()
            .find(|kind| i64::from(i32::from(*kind)) == to)
            .ok_or("an unsupported data type")?;
        self.each(Some(kind), |x| x)
    }

    fn look_up(&self) -> Result<Tensor, String> {
        let Data::Words(words) = &self.inputs[0].data else {
            return Err("numbers where words are needed".to_owned());
        };
        let (keys, codes) =
            self.attribute("keys_strings").zip(self.attribute("values_int64s")).ok_or("no keys")?;
        let table: HashMap<&[u8], i64> =
            keys.strings.iter().map(Vec::as_slice).zip(codes.ints.iter().copied()).collect();
        let other = self.attribute("default_int64").map_or(-1, |attribute| attribute.i);
        let code = |word: &String| *table.get(word.as_bytes()).unwrap_or(&other) as f64;
        Ok(Tensor::numbers(DataType::Int64, self.inputs[0].shape.clone(), words.iter().map(code).collect()))
    }

    /// Selects rows or columns of a matrix by index.
    fn gather(&self) -> Result<Tensor, String> {
        let [from, places] = [self.inputs[0], self.inputs[1]];
        let (&[rows, columns], values) = (&from.shape[..], from.values()?) else {
            return Err("the input is not a matrix".to_owned());
        };
        let of_columns = self.attribute("axis").is_some_and(|axis| axis.i == 1);
        let size = if of_columns { columns } else { rows };
        let place = |place: i64| if place < 0 { place + size as i64 } else { place } as usize;
        let places: Vec<usize> = places.ints()?.into_iter().map(place).collect();
        if let Some(outside) = places.iter().find(|place| **place >= size) {
            return Err(format!("index {outside} of {size}"));
        }
        let (shape, values) = if of_columns {
            let row = |row: &[f64]| places.iter().map(|place| row[*place]).collect::<Vec<_>>();
            (vec![rows, places.len()], values.chunks_exact(columns).flat_map(row).collect())
        } else {
            let row = |place: &usize| &values[place * columns..][..columns];
            (vec![places.len(), columns], places.iter().flat_map(row).copied().collect())
        };
        Ok(Tensor::numbers(from.kind(), shape, values))
    }

    /// Concatenates matrices along the second axis.
    fn concat(&self) -> Result<Tensor, String> {
        let rows = self.inputs[0].shape[0];
        let width = self.inputs.iter().map(|tensor| tensor.shape[1]).sum();
        let mut values = Vec::with_capacity(rows * width);
        for row in 0..rows {
            for tensor in &self.inputs {
                let columns = tensor.shape[1];
                values.extend_from_slice(&tensor.values()?[row * columns..][..columns]);
            }
        }
        Ok(Tensor::numbers(self.inputs[0].kind(), vec![rows, width], values))
    }

    fn reshaped(&self, shape: Vec<usize>) -> Result<Tensor, String> {
        let input = self.inputs[0];
        if shape.iter().product::<usize>() != input.shape.iter().product::<usize>() {
            return Err(format!("shape {:?} as {shape:?}", input.shape));
        }
        Ok(Tensor { shape, data: input.data.clone() })
    }

    fn transpose(&self) -> Result<Tensor, String> {
        let input = self.inputs[0];
        let order: Vec<usize> =
            self.attribute("perm").ok_or("no order")?.ints.iter().map(|axis| *axis as usize).collect();
        let shape: Vec<usize> = order.iter().map(|axis| input.shape[*axis]).collect();
        let strides = strides(&input.shape);
        let turned: Vec<usize> = order.iter().map(|axis| strides[*axis]).collect();
        let values = input.values()?;
        let values = walk(&shape, &turned).map(|at| values[at]).collect();
        Ok(Tensor::numbers(input.kind(), shape, values))
    }

    /// `a * b' + c` of matrices.
    fn gemm(&self) -> Result<Tensor, String> {
        if self.attribute("transB").is_none_or(|attribute| attribute.i != 1) {
            return Err("the second factor is not transposed".to_owned());
        }
        let (a, b, c) = (self.inputs[0], self.inputs[1], self.inputs[2].values()?);
        let (&[rows, inner], &[columns, width]) = (&a.shape[..], &b.shape[..]) else {
            return Err("the inputs are not matrices".to_owned());
        };
        if inner != width {
            return Err(format!("rows of {inner} by rows of {width}"));
        }
        let (factors, weights) = (a.values()?, b.values()?);
        let row = |row: &[f64]| {
            let sums = weights.chunks_exact(inner).zip(c).map(|(weights, start)| start + dot(row, weights));
            sums.collect::<Vec<f64>>()
        };
        let values = factors.par_chunks_exact(inner.max(1)).flat_map_iter(row).collect();
        Ok(Self::rounded(a.kind(), vec![rows, columns], values))
    }

    /// The matrix product for each index of the first axis of two tensors.
    fn matmul(&self) -> Result<Tensor, String> {
        let (a, b) = (self.inputs[0], self.inputs[1]);
        let (&[count, rows, inner], &[others, width, columns]) = (&a.shape[..], &b.shape[..]) else {
            return Err("the inputs are not lists of matrices".to_owned());
        };
        if (count, inner) != (others, width) {
            return Err(format!("{:?} by {:?}", a.shape, b.shape));
        }
        let mut values = Vec::with_capacity(count * rows * columns);
        let pairs = a.values()?.chunks_exact(rows * inner).zip(b.values()?.chunks_exact(inner * columns));
        for (left, right) in pairs {
            for row in left.chunks_exact(inner) {
                values.extend((0..columns).map(|column| {
                    let column = right[column..].iter().step_by(columns);
                    row.iter().zip(column).map(|(a, b)| a * b).sum::<f64>()
                }));
            }
        }
        Ok(Self::rounded(a.kind(), vec![count, rows, columns], values))
    }

    /// Applies `function` to every row of a matrix; it must return the same number of values for each row.
    fn by_row(&self, function: impl Fn(&[f64]) -> Vec<f64>) -> Result<Tensor, String> {
        let input = self.inputs[0];
        let &[rows, columns] = &input.shape[..] else { return Err("the input is not a matrix".to_owned()) };
        let values: Vec<f64> = input.values()?.chunks_exact(columns.max(1)).flat_map(function).collect();
        let width = values.len() / rows.max(1);
        Ok(Self::rounded(input.kind(), vec![rows, width], values))
    }
}

/// The scalar product, with several sums that a processor can add in parallel.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    let (mut sums, (a, rest_a), (b, rest_b)) = ([0.0; 16], left.as_chunks::<16>(), right.as_chunks::<16>());
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f64>()
}

/// The shape to which both shapes broadcast.
fn broadcast(left: &[usize], right: &[usize]) -> Result<Vec<usize>, String> {
    let rank = left.len().max(right.len());
    let size =
        |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    (0..rank)
        .map(|axis| match (size(left, axis), size(right, axis)) {
            (one, other) if one == other || other == 1 => Ok(one),
            (1, other) => Ok(other),
            _ => Err(format!("shapes {left:?} and {right:?}")),
        })
        .collect()
}

/// The stride of each axis of a row-major tensor.
fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

/// For each value of the broadcast shape `wanted`, its index in a tensor of `shape`.
fn places(shape: &[usize], wanted: &[usize]) -> impl Iterator<Item = usize> {
    let (own, missing) = (strides(shape), wanted.len() - shape.len());
    let step = |axis: usize| {
        axis.checked_sub(missing).map_or(0, |axis| if shape[axis] == 1 { 0 } else { own[axis] })
    };
    let strides: Vec<usize> = (0..wanted.len()).map(step).collect();
    walk(wanted, &strides)
}

/// The indices of a row-major walk through `shape` with the given strides.
fn walk(shape: &[usize], strides: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let (shape, strides) = (shape.to_vec(), strides.to_vec());
    let count: usize = shape.iter().product();
    let mut at = vec![0; shape.len()];
    let mut place = 0;
    (0..count).map(move |_| {
        let found = place;
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            place += strides[axis];
            if at[axis] < shape[axis] {
                break;
            }
            place -= strides[axis] * shape[axis];
            at[axis] = 0;
        }
        found
    })
}
