//! A builder for graphs of ONNX operators, which encodes them as a file.

use prost::Message;

use super::proto::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorType, TypeProto,
    ValueInfoProto,
};

/// Every runtime since the middle of 2022 supports this version.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
/// The operator set for classical machine learning, which contains `LabelEncoder`.
pub(crate) const ML: &str = "ai.onnx.ml";
const ML_OPSET: i64 = 3;

/// The name of the batch dimension, whose size is open.
const BATCH: &str = "batch";

/// The name of a tensor of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wire(String);

/// The values of a constant.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I64(Vec<i64>),
}

/// An attribute of a node.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Float(f32),
    Int(i64),
    Ints(Vec<i64>),
    Strings(Vec<String>),
}

#[derive(Debug)]
struct Node {
    operator: &'static str,
    domain: &'static str,
    inputs: Vec<String>,
    output: String,
    attributes: Vec<(&'static str, Value)>,
}

/// An input or output of the graph, of shape [batch, dimensions].
#[derive(Debug)]
struct Port {
    name: String,
    kind: DataType,
    dimensions: Vec<i64>,
    meaning: String,
}

/// A graph: operators in the order in which they run, each with one output.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    constants: Vec<(String, Vec<i64>, Values)>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

impl Graph {
    /// Adds an input of shape [batch, dimensions].
    pub(crate) fn input(&mut self, name: &str, kind: DataType, dimensions: &[i64], meaning: &str) -> Wire {
        self.inputs.push(Port {
            name: name.to_owned(),
            kind,
            dimensions: dimensions.to_vec(),
            meaning: meaning.to_owned(),
        });
        Wire(name.to_owned())
    }

    /// Makes `wire`, of shape [batch, dimensions], the output `name`.
    pub(crate) fn output(
        &mut self,
        wire: &Wire,
        name: &str,
        kind: DataType,
        dimensions: &[i64],
        meaning: &str,
    ) {
        let node = Node {
            operator: "Identity",
            domain: "",
            inputs: vec![wire.0.clone()],
            output: name.to_owned(),
            attributes: Vec::new(),
        };
        self.nodes.push(node);
        self.outputs.push(Port {
            name: name.to_owned(),
            kind,
            dimensions: dimensions.to_vec(),
            meaning: meaning.to_owned(),
        });
    }

    /// A constant with a given name.
    pub(crate) fn constant(&mut self, name: &str, shape: &[usize], values: Values) -> Wire {
        self.constants.push((name.to_owned(), shape.iter().map(|size| *size as i64).collect(), values));
        Wire(name.to_owned())
    }

    /// A scalar.
    pub(crate) fn f32(&mut self, value: f32) -> Wire {
        self.unnamed(&[], Values::F32(vec![value]))
    }

    /// A scalar in double precision.
    pub(crate) fn f64(&mut self, value: f64) -> Wire {
        self.unnamed(&[], Values::F64(vec![value]))
    }

    /// A list of integers.
    pub(crate) fn ints(&mut self, values: &[i64]) -> Wire {
        self.unnamed(&[values.len()], Values::I64(values.to_vec()))
    }

    /// A constant with a generated name.
    pub(crate) fn unnamed(&mut self, shape: &[usize], values: Values) -> Wire {
        let name = format!("/constant.{}", self.constants.len());
        self.constant(&name, shape, values)
    }

    /// The output of `operator` for `inputs`.
    pub(crate) fn node(&mut self, operator: &'static str, inputs: &[&Wire]) -> Wire {
        self.node_with(operator, "", inputs, &[])
    }

    /// Like [`Graph::node`], with attributes; `domain` selects the operator set, empty for the default.
    pub(crate) fn node_with(
        &mut self,
        operator: &'static str,
        domain: &'static str,
        inputs: &[&Wire],
        attributes: &[(&'static str, Value)],
    ) -> Wire {
        let output = format!("/{}.{}", operator.to_lowercase(), self.nodes.len());
        self.nodes.push(Node {
            operator,
            domain,
            inputs: inputs.iter().map(|wire| wire.0.clone()).collect(),
            output: output.clone(),
            attributes: attributes.to_vec(),
        });
        Wire(output)
    }

    /// `wire` converted to another data type.
    pub(crate) fn cast(&mut self, wire: &Wire, to: DataType) -> Wire {
        self.node_with("Cast", "", &[wire], &[("to", Value::Int(i64::from(i32::from(to))))])
    }

    /// `wires` concatenated along `axis`.
    pub(crate) fn concat(&mut self, wires: &[Wire], axis: i64) -> Wire {
        match wires {
            [one] => one.clone(),
            _ => {
                self.node_with("Concat", "", &wires.iter().collect::<Vec<_>>(), &[("axis", Value::Int(axis))])
            }
        }
    }

    /// The bytes of the file: a `ModelProto` with the description `about` and `metadata`.
    pub(crate) fn encode(&self, about: &str, metadata: &[(String, String)]) -> Vec<u8> {
        let of = |domain: &str, version| OperatorSetIdProto { domain: domain.to_owned(), version };
        let mut operator_sets = vec![of("", OPSET)];
        if self.nodes.iter().any(|node| node.domain == ML) {
            operator_sets.push(of(ML, ML_OPSET));
        }
        let graph = GraphProto {
            name: "kiln".to_owned(),
            node: self.nodes.iter().map(Node::proto).collect(),
            initializer: self.constants.iter().map(initializer).collect(),
            input: self.inputs.iter().map(Port::proto).collect(),
            output: self.outputs.iter().map(Port::proto).collect(),
        };
        let property = |(key, value): &(String, String)| StringStringEntryProto {
            key: key.clone(),
            value: value.clone(),
        };
        let model = ModelProto {
            ir_version: IR_VERSION,
            opset_import: operator_sets,
            producer_name: "kiln".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            doc_string: about.to_owned(),
            graph: Some(graph),
            metadata_props: metadata.iter().map(property).collect(),
        };
        model.encode_to_vec()
    }
}

impl Node {
    fn proto(&self) -> NodeProto {
        NodeProto {
            input: self.inputs.clone(),
            output: vec![self.output.clone()],
            name: self.output.clone(),
            op_type: self.operator.to_owned(),
            domain: self.domain.to_owned(),
            attribute: self.attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
        }
    }
}

fn attribute(name: &str, value: &Value) -> AttributeProto {
    let mut attribute = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    match value {
        Value::Float(f) => {
            attribute.f = *f;
            attribute.set_type(AttributeType::Float);
        }
        Value::Int(i) => {
            attribute.i = *i;
            attribute.set_type(AttributeType::Int);
        }
        Value::Ints(ints) => {
            attribute.ints.clone_from(ints);
            attribute.set_type(AttributeType::Ints);
        }
        Value::Strings(strings) => {
            attribute.strings = strings.iter().map(|text| text.as_bytes().to_vec()).collect();
            attribute.set_type(AttributeType::Strings);
        }
    }
    attribute
}

fn initializer((name, shape, values): &(String, Vec<i64>, Values)) -> TensorProto {
    let (kind, raw_data) = match values {
        Values::F32(values) => {
            (DataType::Float, values.iter().flat_map(|value| value.to_le_bytes()).collect())
        }
        Values::F64(values) => {
            (DataType::Double, values.iter().flat_map(|value| value.to_le_bytes()).collect())
        }
        Values::I64(values) => {
            (DataType::Int64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
        }
    };
    let data_type = kind.into();
    TensorProto { name: name.clone(), dims: shape.clone(), data_type, raw_data, ..TensorProto::default() }
}

impl Port {
    fn proto(&self) -> ValueInfoProto {
        let open = Dimension { dim_value: None, dim_param: Some(BATCH.to_owned()) };
        let fixed = self.dimensions.iter().map(|size| Dimension { dim_value: Some(*size), dim_param: None });
        let shape = TensorShapeProto { dim: std::iter::once(open).chain(fixed).collect() };
        let tensor_type = TensorType { elem_type: self.kind.into(), shape: Some(shape) };
        ValueInfoProto {
            name: self.name.clone(),
            r#type: Some(TypeProto { tensor_type: Some(tensor_type) }),
            doc_string: self.meaning.clone(),
        }
    }
}
