//! How scans are degraded in training: as the LR scans were made, in further versions, each with a random stream of its own.

use voxelift_volume::cohort::Role;
use voxelift_volume::degrade::{Degradation, Grid, Operators};
use voxelift_volume::random::Stream;

use crate::config::Config;

/// What makes LR versions of held-out scans as the LR scans were made, or where those are real through the known operator.
pub fn target_like(config: &Config, source: &Degradation) -> Degradation {
    on_the_models_grid(config, config.data.lr.degradation().unwrap_or(source))
}

pub fn on_the_models_grid(config: &Config, degradation: &Degradation) -> Degradation {
    Degradation {
        grid: Grid::Scale(config.scale.scale()),
        shift: 0.0,
        ..*degradation
    }
}

/// What a cached LR scan depends on beside its source.
pub fn described(identity: &str, config: &Config, degradation: &Degradation, seed: u64) -> String {
    let degradation = serde_json::to_string(degradation).expect("plain data");
    format!(
        "{identity} by {degradation} on scale {}, seed {seed}, {}",
        config.scale.scale(),
        patch_key(config)
    )
}

/// What the patches of a cached scan depend on.
pub fn patch_key(config: &Config) -> String {
    format!(
        "patches of {:?} from {}",
        config.patch.extent(),
        config.patch.min_foreground
    )
}

/// The degradations of one HR scan: those chosen, then copies of them with other parameters, of a head that moves.
pub fn versions(config: &Config, chosen: &[Degradation], first_pair: usize) -> Vec<Degradation> {
    let augmentation = &config.augmentation;
    let mut stream = Stream::new(seed_of(config, Role::Hr, first_pair), OPERATOR_STREAM);
    let copies = chosen.iter().cycle().take(augmentation.operator_copies);
    let varied = copies.map(|degradation| Degradation {
        operator: Operators(degradation.operator.0.map(|operator| {
            let spread = augmentation.operator_spread;
            operator.varied(stream.between(-spread, spread).exp())
        })),
        motion: augmentation.motion.or(degradation.motion),
        ..*degradation
    });
    let varied: Vec<Degradation> = varied.collect();
    chosen.iter().copied().chain(varied).collect()
}

/// Beyond the streams of every degradation.
const OPERATOR_STREAM: u64 = 1 << 61;

/// Streams of the degradations' random parts, one a scan.
pub fn seed_of(config: &Config, role: Role, index: usize) -> u64 {
    let role = match role {
        Role::Hr => 1,
        Role::Lr => 2,
        Role::Validation => 3,
        Role::Test => 4,
    };
    config.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (role << 32) ^ index as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxelift_volume::Scale;
    use voxelift_volume::degrade::Operator;

    #[test]
    fn further_versions_vary_and_move_and_the_first_stays() {
        let mut config = Config::default();
        let chosen = [Degradation::new(Operator::GAUSSIAN, Scale::isotropic(2))];
        assert_eq!(versions(&config, &chosen, 0), chosen);
        config.augmentation.operator_copies = 3;
        config.augmentation.operator_spread = 0.3;
        config.augmentation.motion = Some(voxelift_volume::degrade::Motion::default());
        let made = versions(&config, &chosen, 0);
        assert_eq!((made.len(), made[0]), (4, chosen[0]));
        assert_eq!(made, versions(&config, &chosen, 0), "the same for the same seed");
        assert!(made[1..].iter().all(|version| version.motion.is_some()));
        let operators: Vec<String> = made.iter().map(|version| version.operator.to_string()).collect();
        for (i, operator) in operators.iter().enumerate() {
            assert!(!operators[..i].contains(operator), "{operators:?}");
        }
        assert_ne!(made, versions(&config, &chosen, 1), "another for another scan");
    }
}
