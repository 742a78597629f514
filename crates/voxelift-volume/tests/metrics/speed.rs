//! How long the scores of a head take. Run it with
//! `cargo test --release -p voxelift-volume --test metrics -- --ignored --nocapture a_head`.

use std::io::Write;
use std::time::Instant;

use voxelift_volume::metrics::{Detail, EvaluateOptions, evaluate, ssim};

use crate::made::volumes;

#[test]
#[ignore = "a measurement, not a check"]
fn a_head_of_256_cubed() {
    let (reference, image, mask) = volumes([256; 3], [1.0; 3]);
    let timed = |what: &str, work: &dyn Fn()| {
        let start = Instant::now();
        work();
        let _ = writeln!(
            std::io::stderr(),
            "{what}: {:.2} s",
            start.elapsed().as_secs_f64()
        );
    };
    timed("3-D SSIM alone", &|| {
        assert!(ssim(&reference, &image, 255.0).is_some())
    });
    for (what, detail) in [
        ("headline scores", Detail::Headline),
        ("all scores", Detail::Full),
    ] {
        let options = EvaluateOptions {
            detail,
            measured_spacing_mm: Some([2.0; 3]),
            ..EvaluateOptions::default()
        };
        timed(what, &|| {
            assert!(evaluate(&reference, &image, Some(&mask), &options).is_ok())
        });
    }
}
