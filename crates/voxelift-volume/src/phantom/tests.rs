use super::*;

fn small(seed: u64) -> PhantomConfig {
    PhantomConfig {
        seed,
        extent: [40, 48, 40],
        ..Default::default()
    }
}

/// The foreground's values, rising.
fn foreground(volume: &Volume) -> Vec<f32> {
    let mut values: Vec<f32> = volume.data().iter().copied().filter(|&v| v != 0.0).collect();
    values.sort_by(f32::total_cmp);
    values
}

#[test]
fn a_seed_names_one_head_for_any_number_of_threads() {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| head(&small(5)).unwrap())
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn seeds_are_different_subjects() {
    let (a, b) = (head(&small(1)).unwrap(), head(&small(2)).unwrap());
    let n = a.data().len() as f64;
    let mean = |v: &Volume| v.data().iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let (ma, mb) = (mean(&a), mean(&b));
    let pairs = || {
        a.data()
            .iter()
            .zip(b.data())
            .map(|(&x, &y)| (f64::from(x) - ma, f64::from(y) - mb))
    };
    let [ab, aa, bb] = pairs().fold([0.0; 3], |s, (x, y)| [s[0] + x * y, s[1] + x * x, s[2] + y * y]);
    let correlation = ab / (aa * bb).sqrt();
    assert!((0.6..0.95).contains(&correlation), "{correlation}");
}

#[test]
fn the_background_is_zero_and_vessels_stand_out() {
    let volume = head(&small(3)).unwrap();
    let values = foreground(&volume);
    let share = values.len() as f64 / volume.data().len() as f64;
    assert!((0.15..0.5).contains(&share), "{share}");
    assert!(values[0] > 5.0, "{}", values[0]);
    let peak = values[(values.len() as f64 * 0.995) as usize];
    let brightest = values[values.len() - 1];
    assert!(brightest > 1.3 * peak, "{brightest} against {peak}");
}

#[test]
fn tissues_lie_under_the_image() {
    let config = small(4);
    let (image, labels) = (head(&config).unwrap(), tissues(&config).unwrap());
    let mut sums = [(0.0, 0.0); 5];
    for (&value, &label) in image.data().iter().zip(labels.data()) {
        assert_eq!(value == 0.0, label == 0.0, "{value} under label {label}");
        let (sum, count) = &mut sums[label as usize];
        *sum += f64::from(value);
        *count += 1.0;
    }
    let inside: f64 = sums[1..].iter().map(|s| s.1).sum();
    assert!(sums[1..].iter().all(|s| s.1 > 0.005 * inside), "{sums:?}");
    let mean = |tissue: Tissue| sums[tissue as usize].0 / sums[tissue as usize].1;
    let rising = [Tissue::Csf, Tissue::Grey, Tissue::DeepGrey, Tissue::White].map(mean);
    assert!(rising.is_sorted(), "{rising:?}");
}

#[test]
fn a_single_slice_is_cut_through_the_middle() {
    let slice = head(&PhantomConfig {
        extent: [64, 64, 1],
        ..Default::default()
    })
    .unwrap();
    let share = foreground(&slice).len() as f64 / 4096.0;
    assert!((0.3..0.8).contains(&share), "{share}");
    assert_eq!(slice.geometry().world([31.5, 31.5, 0.0]), [0.0; 3]);
}

#[test]
fn an_impossible_grid_is_refused() {
    for (extent, spacing_mm) in [
        ([0, 4, 4], [1.0; 3]),
        ([4096; 3], [1.0; 3]),
        ([4; 3], [1.0, 0.0, 1.0]),
    ] {
        let wrong = head(&PhantomConfig {
            extent,
            spacing_mm,
            seed: 0,
        })
        .unwrap_err()
        .to_string();
        assert!(
            wrong.contains("extent") || wrong.contains("spacing_mm"),
            "{wrong}"
        );
    }
}
