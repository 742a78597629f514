//! A graph that grows node by node; every value has a name.

use super::proto::{Attribute, FLOAT, GraphProto, INT64, NodeProto, TensorProto, ValueInfo};

/// Nodes, and the tensors that stand in the file.
#[derive(Default)]
pub struct Graph {
    proto: GraphProto,
}

impl Graph {
    /// A tensor that stands in the file; returns its name.
    pub fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.keep(name, shape, FLOAT, bytes.collect())
    }

    fn whole(&mut self, name: &str, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.keep(name, &[values.len()], INT64, bytes.collect())
    }

    fn keep(&mut self, name: &str, shape: &[usize], data_type: i32, raw_data: Vec<u8>) -> String {
        self.proto.initializer.push(TensorProto {
            dims: shape.iter().map(|n| *n as i64).collect(),
            data_type,
            name: name.to_owned(),
            raw_data,
        });
        name.to_owned()
    }

    /// A node with one output; returns that one's name.
    pub fn node(&mut self, op: &str, inputs: &[&str], attribute: Vec<Attribute>) -> String {
        let name = format!("{}_{}", op.to_lowercase(), self.proto.node.len());
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op.to_owned(),
            attribute,
        });
        name
    }

    /// Some of the channels of an image, from `begin` up to `end`.
    pub fn channels(&mut self, x: &str, begin: i64, end: i64) -> String {
        let at = format!("channels_{begin}_{end}_{}", self.proto.node.len());
        let [from, to, axis] = [("from", begin), ("to", end), ("axis", 1)]
            .map(|(word, value)| self.whole(&format!("{at}_{word}"), &[value]));
        self.node("Slice", &[x, &from, &to, &axis], Vec::new())
    }

    /// End values repeated, `by` voxels at both ends of a spatial axis (0 for Z).
    pub fn repeated_ends(&mut self, x: &str, axis: usize, by: i64) -> String {
        let mut pads = [0; 10];
        pads[2 + axis] = by;
        pads[7 + axis] = by;
        let pads = self.whole(&format!("pads_{}", self.proto.node.len()), &pads);
        self.node("Pad", &[x, &pads], vec![Attribute::word("mode", "edge")])
    }

    /// The whole graph, its last value called `output`.
    pub fn finish(mut self, last: &str, input: ValueInfo, output: ValueInfo) -> GraphProto {
        let name = output.name.clone();
        self.proto.node.push(NodeProto {
            input: vec![last.to_owned()],
            output: vec![name.clone()],
            name,
            op_type: "Identity".to_owned(),
            attribute: Vec::new(),
        });
        self.proto.name = "voxelift".to_owned();
        self.proto.input = vec![input];
        self.proto.output = vec![output];
        self.proto
    }
}
