//! Trains the weights that learning from one scan starts with: `slice_start LIST SAVE STEPS [SEED [f32|bf16]]`.
//!
//! LIST is a TOML file: `scans = [{ path = "a.nii.gz", axes = [0, 1] }]`, the axes along which a scan shows what its grid promises;
//! `labels = ["map.nii.gz"]`, label maps that are painted anew every so often; `watch = [...]`, scans like the first, which train nothing.
//! SAVE is written every thousand steps, with the state of the optimiser left out: a run that was cut short begins anew.

#![allow(clippy::print_stdout, reason = "a program that says how far it is")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use voxelift_conv::computing_in;
use voxelift_model::device::Precision;
use voxelift_model::optimizer::{Adam, OptimizerConfig, clipped, global_norm};
use voxelift_model::parameters::{average, take_gradients};
use voxelift_model::self_learning::{LearningConfig, Length, NetworkConfig, START_SCALES, StartNetwork};
use voxelift_volume::Volume;
use voxelift_volume::degrade::{Operator, Operators, Profile};
use voxelift_volume::intensity::Normalization;
use voxelift_volume::nifti::ReadOptions;
use voxelift_volume::random::Stream;
use voxelift_volume::scan::read;
use voxelift_volume::synthesis::{Remap, SynthesisConfig};

#[derive(Clone, Debug, Deserialize)]
struct ScanOf {
    path: PathBuf,
    axes: Vec<usize>,
}

#[derive(Debug, Deserialize)]
struct List {
    scans: Vec<ScanOf>,
    labels: Vec<PathBuf>,
    watch: Vec<ScanOf>,
}

/// A normalised scan and the axes that may be rows.
struct Slices {
    volume: Volume,
    axes: Vec<usize>,
}

/// Painted scans held at a time, and steps after which the oldest is replaced.
const PAINTED: usize = 20;
const REPAINT: u64 = 150;
/// The rate at its highest.
const RATE: f64 = 5e-4;
/// Thick slices across a patch, voxels along it, and patches a step.
const ROWS: usize = 16;
const COLUMNS: usize = 64;
const BATCH: usize = 16;
/// Patches cut from one slice.
const OF_A_SLICE: usize = 2;
/// How often each number of fine rows is drawn.
const WEIGHTS: [(usize, usize); 7] = [(2, 2), (3, 3), (4, 4), (5, 3), (6, 3), (7, 2), (8, 2)];
const DECAY: f64 = 0.999;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [list, save, steps, rest @ ..] = &arguments[..] else {
        return Err("slice_start LIST SAVE STEPS [SEED [f32|bf16]]".into());
    };
    let (save, steps) = (PathBuf::from(save), steps.parse::<u64>()?);
    let seed = rest.first().map_or(Ok(1), |s| s.parse::<u64>())?;
    let precision = rest.get(1).map_or(Ok(Precision::F32), |p| p.parse())?;
    computing_in(precision.products(&Device::flex()), || {
        train(list, &save, steps, seed)
    })
}

fn train(list: &str, save: &Path, steps: u64, seed: u64) -> Result<(), Box<dyn Error>> {
    let list: List = toml::from_str(&std::fs::read_to_string(list)?)?;
    let device = Device::flex();
    let config = NetworkConfig::new(4);
    let (start, mut best) = (Instant::now(), StartNetwork::new(&config, seed, &device));
    let mut live = StartNetwork::new(&config, seed, &device.clone().autodiff());
    let mut adam = Adam::default();
    let learning = LearningConfig {
        length: Length::Steps(steps),
        from_scratch: true,
        learning_rate: RATE,
        ..LearningConfig::default()
    };
    let optimizer = OptimizerConfig {
        clip_norm: 0.5,
        ..OptimizerConfig::default()
    };
    let scans = list.scans.iter().map(loaded).collect::<Result<Vec<_>, _>>()?;
    let watch = list.watch.iter().map(loaded).collect::<Result<Vec<_>, _>>()?;
    let maps = list
        .labels
        .iter()
        .map(|path| volume(path))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let mut painted: Vec<Slices> = (0..PAINTED.min(maps.len() * 4))
        .map(|i| paint(&maps, seed, i as u64))
        .collect::<Result<_, _>>()?;
    println!(
        "{} scans, {} painted, {} watched, {:.0} s",
        scans.len(),
        painted.len(),
        watch.len(),
        start.elapsed().as_secs_f64()
    );
    let mut errors = Vec::new();
    for step in 0..steps {
        if step % REPAINT == REPAINT - 1 && !painted.is_empty() {
            let number = step / REPAINT;
            let at = number as usize % painted.len();
            painted[at] = paint(&maps, seed, PAINTED as u64 + number)?;
        }
        let mut stream = Stream::new(seed, (1 << 40) + step);
        let scale = scale(&mut stream);
        let (coarse, fine) = batch(&scans, &painted, scale, &mut stream);
        let autodiff = device.clone().autodiff();
        let [coarse, fine] = [(coarse, ROWS), (fine, ROWS * scale)].map(|(data, rows)| {
            Tensor::<5>::from_data(TensorData::new(data, [BATCH, 1, 1, rows, COLUMNS]), &autodiff)
        });
        let loss = (live.forward(coarse, scale) - fine).abs().mean();
        errors.push(loss.clone().inner().into_scalar::<f32>());
        let mut gradients = loss.backward();
        let gradients = take_gradients(&live, &mut gradients);
        let norm = global_norm(&gradients);
        if norm.is_finite() {
            live = adam.step(
                live,
                clipped(gradients, norm, optimizer.clip_norm),
                learning.rate(step, steps),
                &optimizer,
            );
        }
        let done = step as f64 + 1.0;
        best = average(best, &live, ((1.0 + done) / (10.0 + done)).min(DECAY));
        if (step + 1) % 1000 == 0 || step + 1 == steps {
            let mean = errors.iter().sum::<f32>() / errors.len() as f32;
            errors.clear();
            best.write(save, config, step + 1, seed, names(&list))?;
            let watched: Vec<String> = [2, 4, 6]
                .iter()
                .map(|s| format!("x{s} {:+.3} dB", gain(&best, &watch, *s, &device)))
                .collect();
            println!(
                "step {} error {mean:.5} norm {norm:.3}; over cubic: {}; {:.0} s",
                step + 1,
                watched.join(", "),
                start.elapsed().as_secs_f64()
            );
        }
    }
    println!("{} parameters", best.num_params());
    Ok(())
}

fn names(list: &List) -> Vec<String> {
    let paths = list.scans.iter().map(|scan| &scan.path).chain(&list.labels);
    paths
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect()
}

fn volume(path: &Path) -> Result<Volume, Box<dyn Error>> {
    Ok(read(path, &ReadOptions::default())?.frames.remove(0))
}

fn loaded(scan: &ScanOf) -> Result<Slices, Box<dyn Error>> {
    let whole = volume(&scan.path)?;
    Ok(Slices {
        volume: Normalization::of(&whole)?.apply(whole),
        axes: scan.axes.clone(),
    })
}

fn paint(maps: &[Volume], seed: u64, number: u64) -> Result<Slices, Box<dyn Error>> {
    let mut stream = Stream::new(seed, (1 << 41) + number);
    let map = &maps[stream.below(maps.len())];
    let scan = SynthesisConfig::default().scan(map, (stream.uniform() * 1e15) as u64)?;
    Ok(Slices {
        volume: Normalization::of(&scan)?.apply(scan),
        axes: vec![0, 1, 2],
    })
}

fn scale(stream: &mut Stream) -> usize {
    let all = WEIGHTS.iter().map(|(_, w)| w).sum();
    let mut at = stream.below(all);
    for (scale, weight) in WEIGHTS {
        if at < weight {
            return scale;
        }
        at -= weight;
    }
    *START_SCALES.end()
}

/// A slice profile, of those that scanners and their software have.
fn operator(stream: &mut Stream) -> Operator {
    match stream.uniform() {
        u if u < 0.6 => Operator::Slice {
            profile: Profile::Gaussian,
            thickness: stream.between(0.7, 1.2),
        },
        u if u < 0.85 => Operator::Slice {
            profile: Profile::Box,
            thickness: stream.between(0.6, 1.0),
        },
        _ => Operator::KSpace,
    }
}

/// Coarse and fine patches, one after the other.
fn batch(scans: &[Slices], painted: &[Slices], scale: usize, stream: &mut Stream) -> (Vec<f32>, Vec<f32>) {
    let (mut coarse, mut fine) = (Vec::new(), Vec::new());
    while coarse.len() < BATCH * ROWS * COLUMNS {
        let pool = if stream.uniform() < 0.6 || painted.is_empty() {
            scans
        } else {
            painted
        };
        let slices = &pool[stream.below(pool.len())];
        let real = std::ptr::eq(pool, scans);
        let operator = operator(stream);
        let Some((a, b)) = pair(slices, scale, operator, real, stream) else {
            continue;
        };
        coarse.extend(a);
        fine.extend(b);
    }
    (coarse, fine)
}

/// [`OF_A_SLICE`] patches of one slice.
fn pair(
    slices: &Slices,
    scale: usize,
    operator: Operator,
    real: bool,
    stream: &mut Stream,
) -> Option<(Vec<f32>, Vec<f32>)> {
    let rows = slices.axes[stream.below(slices.axes.len())];
    let extent = slices.volume.extent();
    let others: Vec<usize> = (0..3).filter(|a| *a != rows).collect();
    // The slice holds the rows' axis and one more; where only two axes are fine, that is the other of them.
    let columns = if slices.axes.len() == 2 {
        *slices.axes.iter().find(|a| **a != rows)?
    } else {
        others[stream.below(2)]
    };
    let across = *others.iter().find(|a| **a != columns)?;
    if extent[rows] < (ROWS + 1) * scale || extent[columns] < COLUMNS {
        return None;
    }
    let (mut begin, mut size) = ([0; 3], extent);
    (begin[across], size[across]) = (stream.below(extent[across]), 1);
    begin[rows] = stream.below(scale);
    size[rows] = (extent[rows] - begin[rows]) / scale * scale;
    let mut slice = slices.volume.crop(begin, size);
    if slice.data().iter().filter(|v| **v > 0.1).count() * 8 < slice.data().len() {
        return None;
    }
    if real {
        slice = match stream.uniform() {
            u if u < 0.25 => Remap::monotone(stream).apply(slice).ok()?,
            u if u < 0.5 => Remap::any(stream).apply(slice).ok()?,
            _ => slice,
        };
    }
    let mut operators = [Operator::KSpace; 3];
    operators[rows] = operator;
    let thick = size[rows] / scale;
    let mut small = size;
    small[rows] = thick;
    let mut made = Operators(operators).apply(&slice, small);
    let sigma = 0.04 * stream.uniform().powi(2);
    let mut draws = std::iter::repeat_with(|| stream.normal_pair()).flatten();
    let noise: Vec<f32> = (0..made.data().len())
        .map(|_| (sigma * draws.next().unwrap_or(0.0)) as f32)
        .collect();
    for (value, noise) in made.data_mut().iter_mut().zip(noise) {
        *value += noise;
    }
    let (mut coarse, mut fine) = (Vec::new(), Vec::new());
    for _ in 0..OF_A_SLICE {
        let mut at = [0, 0];
        for _ in 0..8 {
            at = [
                stream.below(thick - ROWS + 1),
                stream.below(size[columns] - COLUMNS + 1),
            ];
            let inside = (0..ROWS * COLUMNS)
                .filter(|i| get(&made, rows, columns, [at[0] + i / COLUMNS, at[1] + i % COLUMNS]) > 0.1)
                .count();
            if inside * 4 > ROWS * COLUMNS {
                break;
            }
        }
        let flips = [stream.uniform() < 0.5, stream.uniform() < 0.5];
        let place = |i: usize, n: usize, flip: bool| if flip { n - 1 - i } else { i };
        for (image, n, first, into) in [
            (&made, ROWS, at[0], &mut coarse),
            (&slice, ROWS * scale, at[0] * scale, &mut fine),
        ] {
            for r in 0..n {
                for c in 0..COLUMNS {
                    let voxel = [first + place(r, n, flips[0]), at[1] + place(c, COLUMNS, flips[1])];
                    into.push(get(image, rows, columns, voxel));
                }
            }
        }
    }
    Some((coarse, fine))
}

/// A voxel of a slice that is one voxel thick.
fn get(slice: &Volume, rows: usize, columns: usize, [r, c]: [usize; 2]) -> f32 {
    let mut voxel = [0; 3];
    (voxel[rows], voxel[columns]) = (r, c);
    slice.at(voxel)
}

/// The mean gain in PSNR over cubic B-splines on slices that train nothing, through Gaussian slices as thick as they are apart.
fn gain(network: &StartNetwork, watch: &[Slices], scale: usize, device: &Device) -> f64 {
    let operator = Operator::Slice {
        profile: Profile::Gaussian,
        thickness: 1.0,
    };
    let mut gains = Vec::new();
    for slices in watch {
        for rows in slices.axes.clone() {
            let columns = slices.axes.iter().copied().find(|a| *a != rows).unwrap_or(0);
            let across = 3 - rows - columns;
            let (mut begin, mut size) = ([0; 3], slices.volume.extent());
            (begin[across], size[across]) = (size[across] / 2, 1);
            size[rows] = size[rows] / scale * scale;
            let slice = slices.volume.crop(begin, size);
            let mut small = size;
            small[rows] /= scale;
            let mut operators = [Operator::KSpace; 3];
            operators[rows] = operator;
            let made = Operators(operators).apply(&slice, small);
            let cubic = voxelift_volume::resample::resize(
                &made,
                size,
                voxelift_volume::resample::Interpolation::CubicBSpline,
            );
            let data: Vec<f32> = (0..small[rows] * size[columns])
                .map(|i| get(&made, rows, columns, [i / size[columns], i % size[columns]]))
                .collect();
            let image = Tensor::<5>::from_data(
                TensorData::new(data, [1, 1, 1, small[rows], size[columns]]),
                device,
            );
            let fine = network
                .forward(image, scale)
                .into_data()
                .try_into_vec::<f32>()
                .expect("f32");
            let mut errors = [0.0; 2];
            for (i, value) in fine.iter().enumerate() {
                let voxel = [i / size[columns], i % size[columns]];
                let reference = get(&slice, rows, columns, voxel);
                if reference > 0.1 {
                    errors[0] += f64::from(reference - get(&cubic, rows, columns, voxel)).powi(2);
                    errors[1] += f64::from(reference - value).powi(2);
                }
            }
            gains.push(10.0 * (errors[0] / errors[1]).log10());
        }
    }
    gains.iter().sum::<f64>() / gains.len().max(1) as f64
}
