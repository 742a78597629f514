//! What super-resolution needs of a phantom: truncation must take something away that was there.

use voxelift_volume::intensity::foreground_peak;
use voxelift_volume::kspace;
use voxelift_volume::phantom::{PhantomConfig, head};

#[test]
fn truncation_costs_a_head_what_it_costs_a_brain() {
    let config = PhantomConfig {
        extent: [64; 3],
        seed: 6,
        ..Default::default()
    };
    let hr = head(&config).unwrap();
    let back = kspace::zero_fill(&kspace::truncate(&hr, [32; 3]), [64; 3]);
    let peak = f64::from(foreground_peak(&hr).unwrap());
    let inside = hr
        .data()
        .iter()
        .zip(back.data())
        .filter(|(h, _)| f64::from(**h) > 0.05 * peak);
    let errors: Vec<f64> = inside.map(|(h, b)| f64::from(h - b).powi(2)).collect();
    let psnr_db = 10.0 * (peak * peak * errors.len() as f64 / errors.iter().sum::<f64>()).log10();
    // 29.7 dB on a real head of about 2.6 times the edge; here folds are closer together.
    assert!((23.5..31.0).contains(&psnr_db), "{psnr_db}");
}

#[test]
fn detail_reaches_the_nyquist_frequency_and_is_not_noise() {
    let hr = head(&PhantomConfig {
        extent: [48; 3],
        seed: 7,
        ..Default::default()
    })
    .unwrap();
    let energy = |low: f64, high: f64| -> f64 {
        let window = |axis: usize, f: f64| f64::from(axis != 0 || (low..high).contains(&f));
        kspace::filter(&hr, window)
            .data()
            .iter()
            .map(|&v| f64::from(v).powi(2))
            .sum()
    };
    let bands = [energy(0.05, 0.15), energy(0.25, 0.35), energy(0.4, 0.51)];
    assert!(
        bands[1] > 1e-3 * bands[0] && bands[2] > 1e-4 * bands[0],
        "{bands:?}"
    );
    assert!(bands[0] > 10.0 * bands[1] && bands[1] > bands[2], "{bands:?}");
}
