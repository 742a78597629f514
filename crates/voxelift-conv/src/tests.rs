//! Layer 13 · Every instruction set of this processor against a plain f64 loop.

use std::io::Write;
use std::mem::MaybeUninit;

use proptest::prelude::*;

use crate::buffer::written;
use crate::contracts::Finish;
use crate::direct::gradient_margin;
use crate::kernels::Kernels;
use crate::layout::{Padded, Source};
use crate::problem::Problem;
use crate::product_format::ProductFormat;
use crate::sweep::Target;
use crate::weight_gradient::bias_gradient;
use crate::{direct, passes, weight_gradient, winograd};

/// All results of one convolution: output, dx, dw, db, planar.
type Results<T> = [Vec<T>; 4];

type Forward = fn(&Kernels, &Problem, &Padded, (&[f32], &[f32]), [usize; 3], Target);
type InputGradient = fn(&Kernels, &Problem, &Padded, &[f32], Target);
type WeightGradient = fn(&Kernels, &Problem, &Padded, &Padded) -> Vec<f32>;

const DIRECT: (Forward, InputGradient, WeightGradient) = (
    |kernels, p, x, w, scale, to| direct::forward(kernels, p, x, w, scale, to, passes::rounding(kernels, p)),
    |kernels, p, g, w, to| direct::input_gradient(kernels, p, g, w, to, passes::rounding(kernels, p)),
    |kernels, p, x, g| weight_gradient::weight_gradient(kernels, p, x, g, passes::rounding(kernels, p)),
);
const CHOSEN: (Forward, InputGradient, WeightGradient) =
    (passes::forward, passes::input_gradient, passes::weight_gradient);

/// Numbers without structure in [-1, 1].
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn naive(p: &Problem, x: &[f32], w: &[f32], b: &[f32], g: &[f32]) -> Results<f64> {
    let mut results = [
        vec![0.0; g.len()],
        vec![0.0; x.len()],
        vec![0.0; w.len()],
        vec![0.0; b.len()],
    ];
    let out = p.output();
    let at = |size: [usize; 3], channels: usize, n: usize, c: usize, v: [usize; 3]| {
        (((n * channels + c) * size[0] + v[0]) * size[1] + v[1]) * size[2] + v[2]
    };
    let cells = |size: [usize; 3]| {
        (0..size[0]).flat_map(move |z| (0..size[1]).flat_map(move |y| (0..size[2]).map(move |x| [z, y, x])))
    };
    for n in 0..p.batch {
        for co in 0..p.channels_out {
            for o in cells(out) {
                let to = at(out, p.channels_out, n, co, o);
                results[0][to] += f64::from(b[co]);
                results[3][co] += f64::from(g[to]);
                for ci in 0..p.channels_in {
                    for k in cells(p.kernel) {
                        let i: [usize; 3] =
                            std::array::from_fn(|a| (o[a] * p.stride[a] + k[a]).wrapping_sub(p.padding()[a]));
                        if (0..3).any(|a| i[a] >= p.input[a]) {
                            continue;
                        }
                        let from = at(p.input, p.channels_in, n, ci, i);
                        let tap = at(p.kernel, p.channels_in, co, ci, k);
                        results[0][to] += f64::from(w[tap]) * f64::from(x[from]);
                        results[1][from] += f64::from(w[tap]) * f64::from(g[to]);
                        results[2][tap] += f64::from(g[to]) * f64::from(x[from]);
                    }
                }
            }
        }
    }
    results
}

fn ours(
    kernels: &Kernels,
    (forward, input_gradient, weight_gradient): (Forward, InputGradient, WeightGradient),
    p: &Problem,
    x: &[f32],
    w: &[f32],
    b: &[f32],
    g: &[f32],
) -> Results<f32> {
    // Winograd's passes need no zeros around, and take them.
    let padded = Padded::copy(Source::Planar(x), p.input_extent(), p.margin(), None);
    let output = |y: &mut [MaybeUninit<f32>]| {
        let target = Target::dense(y, p.output_extent(), Finish::NONE);
        forward(kernels, p, &padded, (w, b), [1; 3], target);
    };
    // SAFETY: as the ops say; what is left out is not a number here.
    let y = unsafe { written(g.len(), output) };
    let gradient = Padded::copy(Source::Planar(g), p.output_extent(), gradient_margin(p), None);
    let of_input = |dx: &mut [MaybeUninit<f32>]| {
        let target = Target::dense(dx, p.input_extent(), Finish::NONE);
        input_gradient(kernels, p, &gradient, w, target);
    };
    // SAFETY: as above.
    let dx = unsafe { written(x.len(), of_input) };
    [
        planar(&y, p.batch, p.channels_out),
        planar(&dx, p.batch, p.channels_in),
        weight_gradient(kernels, p, &padded, &gradient),
        bias_gradient(&gradient),
    ]
}

fn planar(last: &[f32], batch: usize, channels: usize) -> Vec<f32> {
    let voxels = last.len() / batch / channels;
    let at = |n: usize, c: usize, v: usize| last[(n * voxels + v) * channels + c];
    (0..batch)
        .flat_map(|n| (0..channels).flat_map(move |c| (0..voxels).map(move |v| at(n, c, v))))
        .collect()
}

fn check(p: &Problem, seed: u64) -> Result<(), TestCaseError> {
    let x = noise(p.batch * p.channels_in * p.input_extent().voxels(), seed);
    let w = noise(p.weights(), seed + 1);
    let b = noise(p.channels_out, seed + 2);
    let g = noise(p.batch * p.channels_out * p.output_extent().voxels(), seed + 3);
    let expected = naive(p, &x, &w, &b, &g);
    let ways = [("direct", DIRECT), ("winograd", CHOSEN)];
    let count = if winograd::pays(p) { 2 } else { 1 };
    let computed = Kernels::available().iter().flat_map(|kernels| {
        let both = [ProductFormat::F32, ProductFormat::Bf16];
        let present = both.into_iter().take(1 + usize::from(kernels.rounding.is_some()));
        present.map(move |products| (kernels, Problem { products, ..*p }))
    });
    for (kernels, p) in computed {
        let p = &p;
        // Each factor is rounded by at most 2^-9 of itself; Winograd's transforms make that up to six times as much.
        let limit = if p.products == ProductFormat::F32 {
            5e-6
        } else {
            2e-2
        };
        for (way, passes) in &ways[..count] {
            let found = ours(kernels, *passes, p, &x, &w, &b, &g);
            let inside = p.batch * p.output_extent().voxels();
            let terms = [
                p.channels_in * p.taps(),
                p.channels_out * p.taps(),
                inside,
                inside,
            ];
            for (index, name) in ["y", "dx", "dw", "db"].iter().enumerate() {
                let (found, expected) = (&found[index], &expected[index]);
                prop_assert_eq!(found.len(), expected.len());
                // The spread of a sum of that many products: a sum may cancel, its rounding errors do not.
                let scale = (terms[index] as f64).sqrt();
                for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
                    let error = (f64::from(*found) - expected).abs() / scale;
                    prop_assert!(
                        error < limit,
                        "{way} {} {name}[{index}] = {found}, expected {expected}, {p:?}",
                        kernels.name
                    );
                }
            }
        }
    }
    Ok(())
}

fn axis() -> impl Strategy<Value = (usize, usize, usize)> {
    (1..9usize, prop_oneof![Just(1usize), Just(3)], 1..3usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn agrees_with_a_plain_loop(
        batch in 1..4usize,
        channels_in in prop_oneof![1..20usize, Just(32usize), Just(35)],
        channels_out in prop_oneof![1..20usize, Just(32usize), Just(33), Just(50)],
        (z, y, x) in (axis(), axis(), axis()),
        seed in 0..1000u64,
    ) {
        let p = Problem {
            batch, channels_in, channels_out,
            input: [z.0, y.0, x.0], kernel: [z.1, y.1, x.1], stride: [z.2, y.2, x.2],
            products: ProductFormat::F32,
        };
        check(&p, seed)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn tiles_of_two_voxels_agree_with_a_plain_loop(
        batch in 1..3usize,
        channels_in in prop_oneof![Just(16usize), Just(24), Just(32)],
        channels_out in prop_oneof![Just(16usize), Just(24), Just(40)],
        input in [1..9usize, 4..9usize, 4..12usize],
        square in any::<bool>(),
        seed in 0..1000u64,
    ) {
        let (kernel, input) = if square {
            ([1, 3, 3], input)
        } else {
            ([3; 3], [input[0].max(4), input[1], input[2]])
        };
        let p = Problem { batch, channels_in, channels_out, input, kernel, stride: [1; 3], products: ProductFormat::F32 };
        prop_assert!(winograd::pays(&p));
        check(&p, seed)?;
    }
}

#[test]
fn agrees_on_sizes_of_more_than_one_task() {
    for (channels_in, channels_out, size) in
        [(16, 16, [9, 10, 11]), (1, 8, [16, 16, 16]), (16, 1, [7, 16, 17])]
    {
        // A kernel of one voxel does not read every second one at stride 2.
        let strides = [[1; 3], [2; 3], [1, 2, 2]];
        for (kernel, stride) in [[3; 3], [1; 3]]
            .into_iter()
            .flat_map(|kernel| strides.map(|stride| (kernel, stride)))
        {
            let p = Problem {
                batch: 2,
                channels_in,
                channels_out,
                input: size,
                kernel,
                stride,
                products: ProductFormat::F32,
            };
            check(&p, 7).unwrap();
        }
    }
}

/// Root mean square error of output, dx, dw and db, over the root mean square of each.
fn errors(passes: (Forward, InputGradient, WeightGradient), p: &Problem) -> [f64; 4] {
    let x = noise(p.batch * p.channels_in * p.input_extent().voxels(), 1);
    let w = noise(p.weights(), 2);
    let b = noise(p.channels_out, 3);
    let g = noise(p.batch * p.channels_out * p.output_extent().voxels(), 4);
    let expected = naive(p, &x, &w, &b, &g);
    let found = ours(Kernels::best(), passes, p, &x, &w, &b, &g);
    std::array::from_fn(|index| {
        let pairs = found[index].iter().zip(&expected[index]);
        let error: f64 = pairs
            .map(|(found, expected)| (f64::from(*found) - expected).powi(2))
            .sum();
        (error / expected[index].iter().map(|v| v * v).sum::<f64>()).sqrt()
    })
}

#[test]
fn winograd_is_about_as_exact_as_the_direct_sums() {
    let p = Problem {
        batch: 1,
        channels_in: 32,
        channels_out: 32,
        input: [12; 3],
        kernel: [3; 3],
        stride: [1; 3],
        products: ProductFormat::F32,
    };
    let (direct, winograd) = (errors(DIRECT, &p), errors(CHOSEN, &p));
    for (name, direct, winograd) in [
        ("y", direct[0], winograd[0]),
        ("dx", direct[1], winograd[1]),
        ("dw", direct[2], winograd[2]),
    ] {
        assert!(
            winograd < 3.0 * direct && winograd < 2e-6,
            "{name}: {winograd:.2e}, direct {direct:.2e}"
        );
    }
}

#[test]
fn pairs_of_bf16_lose_half_a_per_cent_and_are_used_where_the_processor_has_them() {
    if Kernels::best().rounding.is_none() {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no products of bf16 on this processor"
        );
        return;
    }
    let whole = |kernel| Problem {
        batch: 1,
        channels_in: 32,
        channels_out: 32,
        input: [12; 3],
        kernel,
        stride: [1; 3],
        products: ProductFormat::Bf16,
    };
    for (p, limits) in [(whole([3; 3]), 1e-3..1e-2), (whole([1, 3, 3]), 1e-3..5e-3)] {
        for (name, error) in ["y", "dx", "dw"].iter().zip(errors(CHOSEN, &p)) {
            assert!(limits.contains(&error), "{:?} {name}: {error:.2e}", p.kernel);
        }
    }
}
