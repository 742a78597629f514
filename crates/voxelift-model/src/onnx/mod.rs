//! Layer 9 · A model as an ONNX file, for programs that run such files.
//!
//! The file holds the network alone: what stands around it (intensities, tiles, geometry, data consistency) is `upscale`'s.
//!
//! ```
//! use voxelift_model::model_file::ModelFile;
//! use voxelift_model::onnx::export;
//!
//! let bytes = export(&ModelFile::built_in())?;
//! // The input and the output that a program finds in the file, by their names; the same model gives the same bytes.
//! let holds = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
//! assert!(holds(b"lr") && holds(b"sr") && holds(b"voxelift"));
//! assert_eq!(export(&ModelFile::built_in())?, bytes);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod graph;
mod proto;

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use prost::Message;
use voxelift_volume::resample::lanczos_weights;

use crate::error::Result;
use crate::layers::LEAKY_SLOPE;
use crate::model_file::{ModelCard, ModelFile};
use crate::networks::{Generator, GeneratorConfig, PLACED_CHANNELS, PLACED_STEP};
use crate::parameters;
use graph::Graph;
use proto::{Attribute, ModelProto, OperatorSet, Size, StringEntry, ValueInfo};

/// The file format's own version (IR 8: ONNX 1.10 and later), and that of the operators.
const IR_VERSION: i64 = 8;
const OPERATORS: i64 = 17;
/// Taps of the Lanczos window to either side; one more covers both halves of a voxel.
const LOBES: usize = 4;

/// The network of a model file as the bytes of an ONNX file.
///
/// # Shapes
///
/// Input `lr [N, 1, Z, Y, X]`: a scan over the 99.5th percentile of its foreground, x fastest, Z, Y, X and N of any size; output
/// `sr [N, 1, sz Z, sy Y, sx X]` in the same units. A model for placed scans takes four channels, the scan on its finer grid (of
/// even sides) and for z, y, x the constant share of the grid's frequencies that were not acquired.
///
/// # Errors
/// As [`ModelFile::for_others`].
pub fn export(file: &ModelFile) -> Result<Vec<u8>> {
    let (generator, card) = file.for_others()?;
    Ok(model(&generator, &card).encode_to_vec())
}

fn model(generator: &Generator, card: &ModelCard) -> ModelProto {
    let values = parameters::values(generator);
    let is_placed = generator.is_placed();
    let mut network = Network {
        graph: Graph::default(),
        values,
        config: card.network.clone(),
    };
    let [x, y, z] = card.scale;
    let last = match is_placed {
        true => network.placed("lr"),
        false => network.upsampled("lr", [z, y, x]),
    };
    let sizes = |channels: i64, names: [&str; 4]| {
        let [n, z, y, x] = names.map(|name| Size::Name(name.to_owned()));
        vec![n, Size::Value(channels), z, y, x]
    };
    let channels = card.network.image_channels() as i64;
    let graph = network.graph.finish(
        &last,
        ValueInfo::tensor("lr", sizes(channels, ["batch", "z", "y", "x"])),
        ValueInfo::tensor("sr", sizes(1, ["batch", "sr_z", "sr_y", "sr_x"])),
    );
    ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSet {
            domain: String::new(),
            version: OPERATORS,
        }],
        producer_name: "voxelift".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: format!(
            "Axes are batch, channel, z, y, x (x fastest in a NIfTI file). Intensities: {}. Grid: {}. Not a medical device. {}",
            card.normalization, card.grid, card.notes
        ),
        graph: Some(graph),
        metadata_props: vec![StringEntry {
            key: "voxelift".to_owned(),
            value: serde_json::to_value(card).expect("plain data").to_string(),
        }],
    }
}

/// The layers of a generator, node by node.
struct Network {
    graph: Graph,
    values: BTreeMap<String, TensorData>,
    config: GeneratorConfig,
}

impl Network {
    /// `G_SR(E(x)) + U(x)`.
    fn upsampled(&mut self, image: &str, scale: [usize; 3]) -> String {
        let deep = self.deep(image);
        let expanded = self.convolution("sr_decoder.expand", &deep);
        let shuffled = self.voxel_shuffle(&expanded, self.config.n_feats, scale);
        let detail = self.convolution("sr_decoder.last", &shuffled);
        if !self.config.sr_residual {
            return detail;
        }
        let mut enlarged = image.to_owned();
        for (axis, factor) in scale.into_iter().enumerate() {
            if factor > 1 {
                enlarged = self.lanczos(&enlarged, axis, factor);
            }
        }
        self.graph.node("Add", &[&detail, &enlarged], Vec::new())
    }

    /// The same for a scan that was placed on its finer grid.
    fn placed(&mut self, image: &str) -> String {
        let scan = self.graph.channels(image, 0, 1);
        let constants = self.graph.channels(image, 1, PLACED_CHANNELS as i64);
        let step = [PLACED_STEP; 3];
        let blocks = self.voxels_as_channels(&scan, step);
        let first = self.first_of_blocks(&constants, PLACED_CHANNELS - 1, step);
        let stacked = self
            .graph
            .node("Concat", &[&blocks, &first], vec![Attribute::int("axis", 1)]);
        let deep = self.deep(&stacked);
        let expanded = self.convolution("sr_decoder.expand", &deep);
        let detail = self.voxel_shuffle(&expanded, 1, step);
        self.graph.node("Add", &[&scan, &detail], Vec::new())
    }

    /// Encoder and body.
    fn deep(&mut self, image: &str) -> String {
        let mut x = image.to_owned();
        let convs = self
            .values
            .keys()
            .filter(|name| name.starts_with("encoder.convs."));
        let count = convs.filter(|name| name.ends_with(".weight")).count();
        for i in 0..count {
            x = self.convolution(&format!("encoder.convs.{i}"), &x);
            if i + 1 < count {
                let slope = Attribute::float("alpha", LEAKY_SLOPE);
                x = self.graph.node("LeakyRelu", &[&x], vec![slope]);
            }
        }
        let shallow = self.convolution("sr_decoder.head", &x);
        let mut deep = shallow.clone();
        for group in 0..self.config.n_resgroups {
            deep = self.group(&format!("sr_decoder.groups.{group}"), &deep);
        }
        let closed = self.convolution("sr_decoder.close", &deep);
        self.graph.node("Add", &[&closed, &shallow], Vec::new())
    }

    fn group(&mut self, name: &str, x: &str) -> String {
        let mut deep = x.to_owned();
        for block in 0..self.config.n_resblocks {
            deep = self.block(&format!("{name}.blocks.{block}"), &deep);
        }
        let closed = self.convolution(&format!("{name}.close"), &deep);
        self.graph.node("Add", &[&closed, x], Vec::new())
    }

    /// `x + y sigmoid(up(relu(down(mean(y)))))`, `y = conv2(relu(conv1(x)))`.
    fn block(&mut self, name: &str, x: &str) -> String {
        let y = self.convolution(&format!("{name}.conv1"), x);
        let y = self.graph.node("Relu", &[&y], Vec::new());
        let y = self.convolution(&format!("{name}.conv2"), &y);
        let mean = self.graph.node("GlobalAveragePool", &[&y], Vec::new());
        let narrow = self.convolution(&format!("{name}.attention.down"), &mean);
        let narrow = self.graph.node("Relu", &[&narrow], Vec::new());
        let factor = self.convolution(&format!("{name}.attention.up"), &narrow);
        let factor = self.graph.node("Sigmoid", &[&factor], Vec::new());
        let scaled = self.graph.node("Mul", &[&y, &factor], Vec::new());
        self.graph.node("Add", &[&scaled, x], Vec::new())
    }

    /// A convolution of stride 1 with zeros around.
    fn convolution(&mut self, name: &str, x: &str) -> String {
        let [weight, bias] = ["weight", "bias"].map(|part| {
            let name = format!("{name}.{part}");
            let data = self.values.get(&name).expect("the network's own tensors").clone();
            let shape: Vec<usize> = data.shape().iter().copied().collect();
            let values: Vec<f32> = data.iter::<f32>().collect();
            (self.graph.constant(&name, &shape, &values), shape)
        });
        let kernel = &weight.1[2..];
        let pads: Vec<i64> = kernel.iter().chain(kernel).map(|k| (*k / 2) as i64).collect();
        let attributes = vec![
            Attribute::ints("kernel_shape", kernel.iter().map(|k| *k as i64).collect()),
            Attribute::ints("pads", pads),
        ];
        self.graph.node("Conv", &[x, &weight.0, &bias.0], attributes)
    }

    /// Channel `c sz sy sx + (dz sy + dy) sx + dx` to the sub-voxel `(dz, dy, dx)` of channel `c`: a transposed convolution whose
    /// kernels are 1 at one place each.
    fn voxel_shuffle(&mut self, x: &str, channels: usize, scale: [usize; 3]) -> String {
        let places: usize = scale.iter().product();
        let mut weight = vec![0.0; channels * places * places];
        for (i, kernel) in weight.chunks_mut(places).enumerate() {
            kernel[i % places] = 1.0;
        }
        let shape = [&[channels * places, 1][..], &scale].concat();
        self.strided("ConvTranspose", x, (&shape, &weight), scale, channels)
    }

    /// The opposite: the voxels of each block as channels.
    fn voxels_as_channels(&mut self, x: &str, step: [usize; 3]) -> String {
        let places: usize = step.iter().product();
        let mut weight = vec![0.0; places * places];
        for (i, kernel) in weight.chunks_mut(places).enumerate() {
            kernel[i] = 1.0;
        }
        let shape = [&[places, 1][..], &step].concat();
        self.strided("Conv", x, (&shape, &weight), step, 1)
    }

    /// The first voxel of each block, of several channels.
    fn first_of_blocks(&mut self, x: &str, channels: usize, step: [usize; 3]) -> String {
        let places: usize = step.iter().product();
        let mut weight = vec![0.0; channels * places];
        weight.chunks_mut(places).for_each(|kernel| kernel[0] = 1.0);
        let shape = [&[channels, 1][..], &step].concat();
        self.strided("Conv", x, (&shape, &weight), step, channels)
    }

    /// A convolution whose kernel is as large as its stride.
    fn strided(
        &mut self,
        op: &str,
        x: &str,
        weight: (&[usize], &[f32]),
        stride: [usize; 3],
        group: usize,
    ) -> String {
        let name = format!("places_of_{x}");
        let weight = self.graph.constant(&name, weight.0, weight.1);
        let sizes: Vec<i64> = stride.iter().map(|s| *s as i64).collect();
        let attributes = vec![
            Attribute::ints("kernel_shape", sizes.clone()),
            Attribute::ints("strides", sizes),
            Attribute::int("group", group as i64),
        ];
        self.graph.node(op, &[x, &weight], attributes)
    }

    /// Lanczos with four lobes along one axis on the field-of-view grid, end values repeated: a kernel for each of the finer
    /// voxels within a voxel, then these voxels side by side.
    fn lanczos(&mut self, x: &str, axis: usize, factor: usize) -> String {
        let taps = 2 * LOBES + 1;
        let mut weights = vec![0.0; factor * taps];
        for (kernel, phase) in weights.chunks_mut(taps).zip(lanczos_weights(factor)) {
            // The first tap is that of the voxel `LOBES` before.
            let first = LOBES.checked_add_signed(phase.first).expect("within the kernel");
            for (to, weight) in kernel[first..].iter_mut().zip(phase.weights) {
                *to = weight as f32;
            }
        }
        let along = |n: usize| {
            let mut sizes = [1; 3];
            sizes[axis] = n;
            sizes
        };
        let padded = self.graph.repeated_ends(x, axis, LOBES as i64);
        let shape = [&[factor, 1][..], &along(taps)].concat();
        let weight = self.graph.constant(&format!("lanczos_{axis}"), &shape, &weights);
        let kernel = Attribute::ints("kernel_shape", along(taps).map(|n| n as i64).to_vec());
        let phases = self.graph.node("Conv", &[&padded, &weight], vec![kernel]);
        self.voxel_shuffle(&phases, 1, along(factor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::upsample;
    use burn::tensor::{Device, Tensor};
    use std::collections::BTreeSet;

    fn floats(graph: &proto::GraphProto, name: &str) -> Vec<f32> {
        let found = graph.initializer.iter().find(|tensor| tensor.name == name);
        let bytes = found.expect(name).raw_data.chunks_exact(4);
        bytes
            .map(|b| f32::from_le_bytes(b.try_into().expect("four bytes")))
            .collect()
    }

    #[test]
    fn every_parameter_stands_in_the_graph_and_every_input_has_a_source() {
        let (generator, card) = ModelFile::built_in().for_others().expect("the built-in model");
        let bytes = export(&ModelFile::built_in()).expect("a file");
        let model = ModelProto::decode(bytes.as_slice()).expect("a message");
        let graph = model.graph.expect("a graph");
        for (name, data) in parameters::values(&generator) {
            let stored: Vec<f32> = data.iter::<f32>().collect();
            assert_eq!(floats(&graph, &name), stored, "{name}");
            assert!(
                graph.node.iter().any(|node| node.input.contains(&name)),
                "{name} is used"
            );
        }
        let mut defined: BTreeSet<&str> = graph
            .initializer
            .iter()
            .map(|tensor| tensor.name.as_str())
            .collect();
        defined.extend(graph.input.iter().map(|input| input.name.as_str()));
        for node in &graph.node {
            assert!(
                node.input.iter().all(|input| defined.contains(input.as_str())),
                "{node:?}"
            );
            defined.extend(node.output.iter().map(String::as_str));
        }
        assert!(defined.contains("sr"));
        let convolutions = graph.node.iter().filter(|node| node.op_type == "Conv").count();
        let axes = card.scale().0.iter().filter(|factor| **factor > 1).count();
        let own = parameters::values(&generator)
            .keys()
            .filter(|name| name.ends_with(".weight"))
            .count();
        assert_eq!(convolutions, own + axes, "one a layer, and Lanczos on each axis");
    }

    #[test]
    fn the_kernels_of_lanczos_are_those_of_the_layer() {
        let factor = 3;
        let mut network = Network {
            graph: Graph::default(),
            values: BTreeMap::new(),
            config: GeneratorConfig::default(),
        };
        network.lanczos("x", 2, factor);
        let empty = || ValueInfo::tensor("x", Vec::new());
        let graph = network.graph.finish("x", empty(), empty());
        let kernels = floats(&graph, "lanczos_2");
        let line: Vec<f32> = (0..20).map(|i| ((i * 7) % 11) as f32).collect();
        let device = Device::flex();
        let x = Tensor::<1>::from_floats(line.as_slice(), &device).reshape([1, 1, 1, 1, 20]);
        let expected: Vec<f32> = upsample(x, [1, 1, factor]).into_data().iter::<f32>().collect();
        let taps = 2 * LOBES + 1;
        for (k, expected) in expected.iter().enumerate() {
            let kernel = &kernels[k % factor * taps..][..taps];
            let at = |tap: usize| line[(k / factor + tap).saturating_sub(LOBES).min(line.len() - 1)];
            let found: f32 = kernel
                .iter()
                .enumerate()
                .map(|(tap, weight)| weight * at(tap))
                .sum();
            assert!((found - expected).abs() < 1e-4, "{k}: {found} {expected}");
        }
    }
}
