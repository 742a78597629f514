//! Layers and networks against an independent definition in PyTorch.

use burn::module::Module;
use burn::tensor::Tensor;
use voxelift_conv::{Activation, voxel_shuffle};
use voxelift_model::layers::{Init, Norm, NormKind, high_pass, low_pass, upsample};
use voxelift_model::networks::{
    Discriminator, DiscriminatorConfig, Discriminators, Embedding, GeneratorConfig, LrDecoder, NullSpace,
    ProjectionConfig, ProjectionHead, draw_positions,
};
use voxelift_volume::random::Stream;
use voxelift_volume::resample::{Interpolation, resize};
use voxelift_volume::{Geometry, Volume};

use crate::fill::fill;
use crate::golden::{assert_close, device, formula, golden};
use crate::{expected, small_network};

/// f32 against f64 through some thirty layers.
const TOLERANCE: f64 = 2e-5;

#[test]
fn voxel_shuffle_moves_channels_into_sub_voxels() {
    let shuffled = voxel_shuffle(formula([1, 24, 2, 3, 2], "x", 1.0), [2, 2, 3]);
    assert_eq!(shuffled.dims(), [1, 2, 4, 6, 6]);
    assert_close("shuffle", shuffled, &golden(&expected(), "voxel_shuffle"), 1e-8);
}

#[test]
fn the_upsampler_is_lanczos_on_the_field_of_view_grid() {
    let up = upsample(formula([2, 1, 5, 4, 3], "x", 1.0), [2, 3, 1]);
    assert_close("upsample", up, &golden(&expected(), "upsample"), 1e-6);
}

#[test]
fn the_upsampler_is_the_baseline_of_the_volume_crate() {
    let (extent, up) = ([7, 6, 5], [14, 18, 5]); // x, y, z
    let x = formula([1, 1, 5, 6, 7], "x", 1.0);
    let voxels: Vec<f32> = x.clone().inner().into_data().iter::<f32>().collect();
    let volume = Volume::new(voxels, Geometry::axis_aligned(extent, [1.0; 3]));
    let baseline: Vec<f64> = resize(&volume, up, Interpolation::Lanczos4)
        .data()
        .iter()
        .map(|&v| f64::from(v))
        .collect();
    assert_close("upsample", upsample(x, [1, 3, 2]), &baseline, 1e-6);
}

#[test]
fn norms_match() {
    for (kind, name) in [
        (NormKind::Group, "group"),
        (NormKind::Batch, "batch"),
        (NormKind::Instance, "instance"),
    ] {
        let norm = Norm::new(kind, 3, &mut Init::new(0, "norm"), &device()).expect("a layer");
        let norm = Named { norm };
        let y = fill(norm)
            .norm
            .forward(formula([2, 3, 2, 3, 2], "x", 1.0) + 0.3, Activation::None);
        assert_close(name, y, &golden(&expected(), &format!("norm_{name}")), TOLERANCE);
    }
    assert!(Norm::new(NormKind::None, 3, &mut Init::new(0, "norm"), &device()).is_none());
}

/// Gives the layer the name that the script's formula uses.
#[derive(Module, Debug)]
struct Named {
    norm: Norm,
}

#[test]
fn channel_attention_matches() {
    let config = GeneratorConfig {
        n_feats: 24,
        ..GeneratorConfig::tiny()
    };
    let block = config
        .init(0, &device())
        .sr_decoder
        .groups
        .remove(0)
        .blocks
        .remove(0);
    let y = fill(block.attention).forward(formula([2, 24, 2, 3, 2], "x", 1.0));
    assert_close("attention", y, &golden(&expected(), "attention"), TOLERANCE);
}

#[test]
fn a_whole_generator_and_its_gradients_match() {
    let expected = expected();
    let generator = fill(small_network().init(0, &device()));
    let image = formula([2, 1, 3, 4, 3], "image", 1.0).require_grad();
    let features = generator.encode(image.clone());
    assert_close(
        "encoder",
        features.narrow(1, 0, 2),
        &golden(&expected, "encoder"),
        TOLERANCE,
    );
    let sr = generator.forward(image.clone());
    assert_eq!(sr.dims(), [2, 1, 6, 8, 6]);
    assert_close(
        "generator",
        sr.clone(),
        &golden(&expected, "generator"),
        TOLERANCE,
    );

    let gradients = (sr.clone() * formula(sr.dims(), "direction", 1.0))
        .sum()
        .backward();
    let gradient = image.grad(&gradients).expect("a gradient to the image");
    assert_close(
        "input gradient",
        gradient,
        &golden(&expected, "generator_input_gradient"),
        TOLERANCE,
    );
    let weight = generator.encoder.convs[0].weight.val();
    let gradient = weight
        .grad(&gradients)
        .expect("a gradient to the weight")
        .narrow(0, 0, 2);
    assert_close(
        "weight gradient",
        gradient,
        &golden(&expected, "generator_first_weight_gradient"),
        TOLERANCE,
    );
}

#[test]
fn the_null_space_layer_leaves_what_was_measured() {
    let config = |null_space| GeneratorConfig {
        null_space,
        ..small_network()
    };
    let image = formula([2, 1, 8, 9, 8], "image", 1.0);
    let drawn = |null_space| {
        let generator = fill(config(null_space).init(0, &device()));
        (
            generator.forward(image.clone()) - upsample(image.clone(), [2; 3]),
            generator,
        )
    };
    let size = |x: Tensor<5>| x.abs().mean().into_scalar::<f32>();
    let (off, _) = drawn(NullSpace::Off);
    let (layer, _) = drawn(NullSpace::Layer);
    let (gated, generator) = drawn(NullSpace::Gated);
    let wanted = high_pass(off.clone(), [2; 3]);
    assert!(size(layer.clone() - wanted) < 1e-6 * size(off.clone()));
    // Of a coarse change next to nothing is left.
    let low = |x: &Tensor<5>| size(low_pass(x.clone(), [2; 3]));
    assert!(low(&layer) < 1e-5 * low(&off), "{} of {}", low(&layer), low(&off));
    // The gate lies between the two: Off - Gated = g (Off - Layer), each of the batch with a share of its own.
    assert!(generator.gate.is_some());
    for one in 0..2 {
        let of = |x: &Tensor<5>| x.clone().narrow(0, one, 1);
        let (change, whole) = (of(&off) - of(&gated), of(&off) - of(&layer));
        let gate = (change.clone() * whole.clone()).sum() / whole.clone().square().sum();
        let share: f32 = gate.clone().into_scalar();
        assert!(share > 0.01 && share < 0.99, "{share}");
        assert!(size(change - whole.clone() * gate.reshape([1; 5])) < 1e-5 * size(whole));
    }
    let error = GeneratorConfig {
        sr_residual: false,
        ..config(NullSpace::Layer)
    }
    .check()
    .expect_err("nothing would draw the measured band")
    .to_string();
    assert!(
        error.contains("null_space") && error.contains("sr_residual"),
        "{error}"
    );
}

#[test]
fn a_generator_of_slices_matches() {
    let config = GeneratorConfig {
        kernel: [1, 3, 3],
        scale: [1, 2, 3],
        ..GeneratorConfig::tiny()
    };
    let sr = fill(config.init(0, &device())).forward(formula([2, 1, 1, 4, 5], "image", 1.0));
    assert_eq!(sr.dims(), [2, 1, 1, 8, 15]);
    assert_close("slices", sr, &golden(&expected(), "generator_slices"), TOLERANCE);
}

#[test]
fn the_lr_decoder_matches_and_starts_at_no_change() {
    let decoder = LrDecoder::new(&small_network(), 0, &device());
    let (features, image) = (
        formula([1, 8, 3, 4, 3], "features", 1.0),
        formula([1, 1, 3, 4, 3], "image", 1.0),
    );
    let start = decoder.forward(features.clone(), image.clone());
    assert_eq!(start.into_data(), image.clone().into_data());
    let styled = fill(decoder).forward(features, image);
    assert_close(
        "lr_decoder",
        styled,
        &golden(&expected(), "lr_decoder"),
        TOLERANCE,
    );
}

#[test]
fn discriminators_match() {
    let kinds = [
        NormKind::Group,
        NormKind::Batch,
        NormKind::Instance,
        NormKind::None,
    ];
    for (norm, name) in kinds.into_iter().zip(["group", "batch", "instance", "none"]) {
        let config = DiscriminatorConfig { width: 4, norm };
        let init = &mut Init::new(0, "discriminator");
        // The script says two stages: a patch of 8 halves to 4 and 2.
        let discriminator = fill(Discriminator::new(&config, 2, [8; 3], [3; 3], init, &device()));
        let scores = discriminator.forward(formula([3, 2, 8, 9, 11], "x", 1.0));
        assert_eq!(scores.dims(), [3, 1]);
        let key = format!("discriminator_{name}");
        assert_close(&key, scores, &golden(&expected(), &key), TOLERANCE);
    }
    let config = DiscriminatorConfig {
        width: 4,
        norm: NormKind::Group,
    };
    let init = &mut Init::new(0, "discriminator");
    let discriminator = fill(Discriminator::new(
        &config,
        1,
        [1, 8, 8],
        [1, 3, 3],
        init,
        &device(),
    ));
    let scores = discriminator.forward(formula([3, 1, 1, 8, 9], "x", 1.0));
    assert_close(
        "slices",
        scores,
        &golden(&expected(), "discriminator_slices"),
        TOLERANCE,
    );
}

#[test]
fn discriminators_halve_while_the_smallest_side_is_at_least_four() {
    let depth = |patch| {
        let config = DiscriminatorConfig {
            width: 1,
            norm: NormKind::None,
        };
        let all = Discriminators::new(&config, &GeneratorConfig::tiny(), patch, 0, &device());
        [
            all.source.stages.len(),
            all.feature.stages.len(),
            all.target.stages.len(),
        ]
    };
    assert_eq!(depth([8, 8, 8]), [3, 2, 2]);
    assert_eq!(depth([16, 16, 16]), [4, 3, 3]);
    assert_eq!(depth([32, 16, 32]), [4, 3, 3]);
    assert_eq!(depth([64, 64, 64]), [5, 5, 5]);
    assert_eq!(depth([2, 2, 2]), [1, 1, 1]);
}

#[test]
fn projection_heads_match() {
    let expected = expected();
    let features = formula([3, 8, 5, 3, 7], "features", 1.0);
    let head = |embedding| {
        let config = ProjectionConfig {
            embedding,
            hidden: 16,
            dim: 6,
            ..ProjectionConfig::default()
        };
        fill(ProjectionHead::new(
            &config,
            8,
            [5, 3, 7],
            "projection.p",
            0,
            &device(),
        ))
    };
    let pool = head(Embedding::Pool).forward(features.clone(), &[]);
    assert_close("pool", pool, &golden(&expected, "projection_pool"), TOLERANCE);
    let patch = head(Embedding::Patch).forward(features.clone(), &[0, 17, 104]);
    assert_close("patch", patch, &golden(&expected, "projection_patch"), TOLERANCE);

    let flat: Vec<f64> = head(Embedding::Flat)
        .forward(features, &[])
        .into_data()
        .iter::<f64>()
        .collect();
    let every_17th: Vec<f64> = flat
        .chunks(8 * 5 * 3 * 7)
        .flat_map(|row| row.iter().step_by(17))
        .copied()
        .collect();
    let wanted = golden(&expected, "projection_flat");
    assert_eq!(every_17th.len(), wanted.len());
    assert!(
        every_17th.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-6),
        "{every_17th:?} {wanted:?}"
    );
}

#[test]
fn positions_are_drawn_without_repetition() {
    let mut drawn = draw_positions(&mut Stream::new(3, 0), 64, 100);
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!((drawn.len(), drawn.last().is_some_and(|&i| i < 100)), (64, true));
    assert_eq!(draw_positions(&mut Stream::new(3, 0), 64, 5).len(), 5);
}

#[test]
fn sizes_that_no_network_can_have_are_refused() {
    let error = |config: GeneratorConfig| config.check().expect_err("must be refused").to_string();
    assert!(
        error(GeneratorConfig {
            n_feats: 0,
            ..GeneratorConfig::small()
        })
        .starts_with("n_feats = 0")
    );
    assert!(
        error(GeneratorConfig {
            kernel: [2, 3, 3],
            ..GeneratorConfig::small()
        })
        .contains("[2, 3, 3]")
    );
    assert!(
        error(GeneratorConfig {
            scale: [0, 2, 2],
            ..GeneratorConfig::small()
        })
        .contains("scale")
    );
    assert!(GeneratorConfig::paper().check().is_ok());
    assert!(serde_json::from_str::<GeneratorConfig>(r#"{"n_feat": 3}"#).is_err());
    let read: DiscriminatorConfig = serde_json::from_str(r#"{"norm": "instance"}"#).expect("a configuration");
    assert_eq!(
        read,
        DiscriminatorConfig {
            norm: NormKind::Instance,
            ..DiscriminatorConfig::default()
        }
    );
}

#[test]
fn without_gradients_the_tail_is_one_convolution_and_gives_the_same() {
    // Sides of 1 and 2 have no inner voxels; a closing kernel of 1 has no faces.
    let cases = [
        ([9, 8, 7], [2, 2, 2], [3, 3, 3]),
        ([1, 2, 3], [2, 3, 1], [3, 3, 3]),
        ([5, 1, 6], [1, 1, 4], [3, 3, 3]),
        ([1, 6, 5], [1, 2, 2], [1, 3, 3]),
    ];
    for ([z, y, x], scale, kernel) in cases {
        let config = GeneratorConfig {
            scale,
            kernel,
            ..GeneratorConfig::tiny()
        };
        let live = fill(config.init(5, &device()));
        let image = formula([2, 1, z, y, x], "x", 1.0);
        let one = live.valid().forward(image.clone().inner());
        assert!(
            !one.is_autodiff(),
            "the one convolution is for tensors without gradients"
        );
        let two: Vec<f64> = live.forward(image).inner().into_data().iter::<f64>().collect();
        assert!(
            two.iter().any(|v| v.abs() > 1e-3),
            "an output that is not all zero"
        );
        assert_close(&format!("{z}x{y}x{x} by {scale:?}"), one, &two, 1e-5);
    }
}
