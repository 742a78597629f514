//! Where the first weights come from: one random stream a parameter, named by seed, network and position.

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use sha2::{Digest, Sha256};
use voxelift_volume::random::Stream;

/// Hands out the initial parameters of one network, in the order in which its layers are built.
///
/// Each parameter has a stream of its own, addressed by (seed, network, position), so its bytes depend neither on
/// the other networks nor on when it is first touched. Parameters are drawn lazily: a network that a file is about
/// to fill, or that is only counted, costs nothing. Parameter ids come from (network, position) too, so that
/// nothing in a run is named at random.
#[derive(Debug)]
pub struct Init {
    seed: u64,
    network: String,
    position: u64,
}

impl Init {
    /// Starts the streams of `network`, a name that is unique within a run (`encoder`, `discriminators.source`).
    pub fn new(seed: u64, network: &str) -> Self {
        Self {
            seed,
            network: network.to_owned(),
            position: 0,
        }
    }

    /// A parameter drawn from a normal distribution of mean 0.
    pub fn normal<const D: usize>(
        &mut self,
        shape: [usize; D],
        standard_deviation: f64,
        device: &Device,
    ) -> Param<Tensor<D>> {
        let seed = self.seed;
        self.parameter(shape, device, move |number, n| {
            let mut stream = Stream::new(seed, number);
            let pairs = std::iter::repeat_with(move || stream.normal_pair()).flatten();
            pairs
                .take(n)
                .map(|draw| (standard_deviation * draw) as f32)
                .collect()
        })
    }

    /// A parameter that starts at one value.
    pub fn constant<const D: usize>(
        &mut self,
        shape: [usize; D],
        value: f32,
        device: &Device,
    ) -> Param<Tensor<D>> {
        self.parameter(shape, device, move |_, n| vec![value; n])
    }

    fn parameter<const D: usize>(
        &mut self,
        shape: [usize; D],
        device: &Device,
        values: impl FnOnce(u64, usize) -> Vec<f32> + Send + Sync + 'static,
    ) -> Param<Tensor<D>> {
        let number = self.next_number();
        Param::uninitialized(
            ParamId::from(number),
            move |device, require_grad| {
                let data = TensorData::new(values(number, shape.iter().product()), shape);
                Tensor::from_data(data, device).set_require_grad(require_grad)
            },
            device.clone(),
            true,
            Shape::from(shape),
        )
    }

    fn next_number(&mut self) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.network.as_bytes());
        hash.update(self.position.to_le_bytes());
        self.position += 1;
        let digest: [u8; 32] = hash.finalize().into();
        let (head, _) = digest.split_at(8);
        head.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
}
