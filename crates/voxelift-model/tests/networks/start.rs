//! How networks start: their sizes, their names, their first weights; and what reaches them.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use voxelift_conv::Activation;
use voxelift_model::layers::{Init, NormKind, upsample};
use voxelift_model::networks::{Discriminator, DiscriminatorConfig, Generator, GeneratorConfig};

use crate::fill::fill;
use crate::golden::{device, formula};
use crate::{expected, small_network};

#[test]
fn parameters_are_as_many_as_the_papers_sizes_have() {
    let generator = |n_resgroups, n_resblocks| {
        GeneratorConfig {
            n_resgroups,
            n_resblocks,
            ..GeneratorConfig::paper()
        }
        .init(0, &device())
    };
    let paper = generator(10, 20);
    assert_eq!(paper.encoder.num_params(), 555_072);
    assert_eq!(paper.sr_decoder.num_params(), 46_593_249);
    assert_eq!(generator(5, 10).sr_decoder.num_params(), 12_756_169);
    assert_eq!(generator(5, 5).sr_decoder.num_params(), 7_208_869);
    assert!(
        !paper
            .sr_decoder
            .last
            .as_ref()
            .is_some_and(|last| last.weight.is_initialized()),
        "counting must not allocate"
    );
}

#[test]
fn names_are_those_of_pytorch_state_dicts() {
    let generator = small_network().init(0, &device());
    let mut found = names(&generator);
    let expected = expected();
    let list = expected["generator_names"].as_array().expect("names").iter();
    let mut wanted: Vec<String> = list
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect();
    assert!(
        found.contains(&"sr_decoder.groups.1.blocks.0.attention.down.weight".to_owned()),
        "{found:?}"
    );
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}

#[test]
fn features_keep_their_scale_from_layer_to_layer() {
    let config = GeneratorConfig::paper();
    let generator = GeneratorConfig {
        n_feats: 32,
        n_resgroups: 3,
        n_resblocks: 4,
        ..config
    }
    .init(5, &device());
    let noise = Init::new(9, "noise")
        .normal([1, 1, 10, 10, 10], 1.0, &device())
        .val()
        .detach();
    let mut deviations = vec![deviation(&noise)];
    let mut x = noise;
    for (i, conv) in generator.encoder.convs.iter().enumerate() {
        x = conv.forward(
            x,
            if i < 5 {
                Activation::LeakyRelu(0.2)
            } else {
                Activation::None
            },
        );
        deviations.push(deviation(&x));
    }
    // Six small losses would add up: a framework's default shrinks the features thirtyfold.
    let whole = deviations[6] / deviations[0];
    assert!((1.0 / 3.0..3.0).contains(&whole), "{deviations:?}");
    let decoder = &generator.sr_decoder;
    x = decoder.head.forward(x, Activation::None);
    deviations.push(deviation(&x));
    for group in &decoder.groups {
        x = group.forward(x);
        deviations.push(deviation(&x));
    }
    for conv in [&decoder.close, &decoder.expand] {
        x = conv.forward(x, Activation::None);
        deviations.push(deviation(&x));
    }
    let ratios: Vec<f64> = deviations.windows(2).map(|pair| pair[1] / pair[0]).collect();
    assert!(
        ratios.iter().all(|ratio| (1.0 / 3.0..3.0).contains(ratio)),
        "{ratios:?}"
    );
}

fn deviation(x: &Tensor<5>) -> f64 {
    let values: Vec<f64> = x.clone().into_data().iter::<f64>().collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn a_generator_starts_at_its_upsampler() {
    let generator = GeneratorConfig::tiny().init(1, &device());
    let image = formula([1, 1, 4, 4, 4], "image", 1.0);
    assert_eq!(
        generator.forward(image.clone()).into_data(),
        upsample(image, [2; 3]).into_data()
    );
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (config, device) = (small_network(), device());
    let one = bytes(&config.init(7, &device));
    let again = config.init(7, &device);
    // Touched in another order than it was built.
    again.sr_decoder.expand.weight.val();
    assert_eq!(one, bytes(&again));
    assert_ne!(one, bytes(&config.init(8, &device)));
    // A network's bytes do not depend on the size of another.
    let deeper = GeneratorConfig {
        n_resgroups: 3,
        ..config.clone()
    };
    assert_eq!(
        bytes(&config.init(7, &device).encoder),
        bytes(&deeper.init(7, &device).encoder)
    );
    // No two parameters share a stream.
    let weights = |i: usize| bytes(&config.init(7, &device).encoder.convs[i]);
    assert_ne!(weights(1), weights(2));
}

#[test]
fn a_frozen_network_passes_gradients_to_its_input_alone() {
    let generator = fill(GeneratorConfig::tiny().init(0, &device()));
    let frozen = generator.encoder.valid();
    let image = formula([1, 1, 3, 3, 3], "image", 1.0).require_grad();
    let gradients = (frozen.forward(image.clone()) + generator.encode(image.clone().detach()) * 0.0)
        .sum()
        .backward();
    let through_frozen = image
        .grad(&gradients)
        .expect("a gradient through the frozen network");
    let live = generator.encode(image.clone()).sum().backward();
    let through_live = image.grad(&live).expect("a gradient through the live network");
    assert_eq!(through_frozen.into_data(), through_live.into_data());
    let weight = generator.encoder.convs[0].weight.val();
    let reached: f32 = weight
        .grad(&gradients)
        .expect("in the graph")
        .abs()
        .sum()
        .into_scalar();
    assert_eq!(reached, 0.0);
}

#[test]
fn a_frozen_judge_passes_gradients_to_what_it_judges() {
    let config = DiscriminatorConfig {
        width: 4,
        norm: NormKind::Group,
    };
    let live = fill(Discriminator::new(
        &config,
        1,
        [8; 3],
        [3; 3],
        &mut Init::new(0, "judge"),
        &device(),
    ));
    let image = formula([2, 1, 8, 8, 8], "image", 1.0).require_grad();
    let gradient = |judge: &Discriminator| {
        let gradients = judge.forward(image.clone()).sum().backward();
        image
            .grad(&gradients)
            .expect("a gradient to the image")
            .into_data()
    };
    assert_eq!(gradient(&live.valid()), gradient(&live));
}

#[test]
fn outputs_and_gradients_do_not_depend_on_the_number_of_threads() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        pool.install(|| {
            let generator = fill(
                GeneratorConfig {
                    n_feats: 16,
                    ..small_network()
                }
                .init(0, &device()),
            );
            let sr = generator.forward(formula([2, 1, 9, 10, 11], "image", 1.0));
            let gradients = sr.clone().square().sum().backward();
            let weight = generator.encoder.convs[1].weight.val();
            (
                sr.into_data(),
                weight.grad(&gradients).expect("a gradient").into_data(),
            )
        })
    };
    assert_eq!(run(1), run(3));
}

fn names<M: Module>(module: &M) -> Vec<String> {
    let mut visitor = Visitor::default();
    module.visit(&mut visitor);
    visitor.names
}

fn bytes<M: Module>(module: &M) -> Vec<u8> {
    let mut visitor = Visitor::default();
    module.visit(&mut visitor);
    visitor.bytes
}

#[derive(Default)]
struct Visitor {
    path: Vec<String>,
    names: Vec<String>,
    bytes: Vec<u8>,
}

impl ModuleVisitor for Visitor {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.names.push(self.path.join("."));
        self.bytes.extend(param.val().into_data().as_bytes());
    }
}

/// The exported model holds these two networks and nothing else.
#[test]
fn a_generator_is_an_encoder_and_an_sr_decoder() {
    let Generator {
        encoder, sr_decoder, ..
    } = GeneratorConfig::tiny().init(0, &device());
    assert_eq!((encoder.convs.len(), sr_decoder.groups.len()), (6, 1));
}
