//! The failure signs of a run, each with its threshold and what to do.

use std::collections::{BTreeMap, VecDeque};

use crate::run::Record;
use crate::scoring::SR;

/// A discriminator that is right more often than this over [`LONG`] steps has won.
const COLLAPSE: f64 = 0.98;
/// Steps that an accuracy is averaged over.
const LONG: usize = 200;
/// Mean cosines of positive and of negative pairs that are both above this: all features are alike.
const ALIKE: f64 = 0.98;
/// Decibels that the validation score goes up and down by, time after time.
const SWING_DB: f64 = 0.5;
/// Validations that a swing is seen over.
const VALIDATIONS: usize = 4;
/// Share of the last [`WAITED`] steps that may be spent waiting for data.
const WAITING: f64 = 0.02;
/// Steps that waiting is summed over.
const WAITED: usize = 100;

/// Looks at a run's records; fed with those of its earlier parts, it goes on where they ended.
#[derive(Debug, Default)]
pub struct Watch {
    accuracies: BTreeMap<String, VecDeque<f64>>,
    scores: VecDeque<f64>,
    seconds: VecDeque<[f64; 2]>,
    /// Signs of which a warning was given, and whether they are still there.
    warned: BTreeMap<String, bool>,
}

impl Watch {
    /// What a further record shows: one line a sign, once until the sign has gone away.
    pub fn see(&mut self, record: &Record) -> Vec<String> {
        let step = record.step();
        let mut warnings = Vec::new();
        match record {
            Record::Step {
                seconds,
                waiting,
                terms,
                ..
            } => {
                for (name, value) in terms {
                    if let Some(which) = name.strip_prefix("accuracy_") {
                        let recent = self.accuracies.entry(which.to_owned()).or_default();
                        push(recent, *value, LONG);
                        let mean = recent.iter().sum::<f64>() / recent.len() as f64;
                        let wrong = recent.len() == LONG && mean > COLLAPSE;
                        warnings.extend(self.once(format!("accuracy {which}"), wrong, || {
                            format!(
                                "step {step}: the {which} discriminator is right in {:.1} % of {LONG} steps (more than {:.0} %): it has won and \
                                 teaches nothing; lower discriminator.width, raise loss.{} or look whether the two domains differ in more than \
                                 resolution (the check before a training says so)",
                                100.0 * mean,
                                100.0 * COLLAPSE,
                                match which {
                                    "feature" => "alignment",
                                    "target" => "style",
                                    _ => "adversarial",
                                }
                            )
                        }));
                    }
                }
                if let (Some(positive), Some(negative)) =
                    (terms.get("cosine_positive"), terms.get("cosine_negative"))
                {
                    let wrong = positive.min(*negative) > ALIKE;
                    warnings.extend(self.once("cosines".into(), wrong, || {
                        format!(
                            "step {step}: embeddings of one place and of different places are equally alike (mean cosines {positive:.3} and \
                             {negative:.3}, both above {ALIKE}): the features have collapsed; lower loss.temperature, raise patch.batch, or lower \
                             loss.alignment"
                        )
                    }));
                }
                push(&mut self.seconds, [*seconds, *waiting], WAITED);
                let (all, waited) = self
                    .seconds
                    .iter()
                    .fold((0.0, 0.0), |(a, w), s| (a + s[0], w + s[1]));
                let wrong = self.seconds.len() == WAITED && waited > WAITING * all;
                warnings.extend(self.once("waiting".into(), wrong, || {
                    format!(
                        "step {step}: {:.1} % of the last {WAITED} steps were spent waiting for data (more than {:.0} %); put data.cache on a faster \
                         disk, or leave it out where the scans fit in memory",
                        100.0 * waited / all,
                        100.0 * WAITING
                    )
                }));
            }
            Record::Validation { scores, .. } => {
                let Some(sr) = scores.get(SR) else {
                    return warnings;
                };
                push(&mut self.scores, sr.headline()[0], VALIDATIONS);
                let moves: Vec<f64> = self
                    .scores
                    .iter()
                    .zip(self.scores.iter().skip(1))
                    .map(|(a, b)| b - a)
                    .collect();
                let turns = moves.windows(2).all(|pair| pair[0] * pair[1] < 0.0);
                let wrong =
                    moves.len() + 1 == VALIDATIONS && turns && moves.iter().all(|m| m.abs() > SWING_DB);
                warnings.extend(self.once("swing".into(), wrong, || {
                    format!(
                        "step {step}: the validation score has gone up and down by more than {SWING_DB} dB over {VALIDATIONS} validations: the networks \
                         chase each other; lower optimizer.learning_rate or loss.adversarial"
                    )
                }));
            }
        }
        warnings
    }

    fn once(&mut self, sign: String, wrong: bool, text: impl FnOnce() -> String) -> Option<String> {
        let before = self.warned.insert(sign, wrong).unwrap_or(false);
        (wrong && !before).then(text)
    }
}

fn push<T>(recent: &mut VecDeque<T>, value: T, most: usize) {
    if recent.len() == most {
        recent.pop_front();
    }
    recent.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ValidationScores;

    fn step(step: u64, terms: &[(&str, f64)]) -> Record {
        Record::Step {
            step,
            seconds: 1.0,
            waiting: 0.0,
            learning_rate: 1e-3,
            terms: terms
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
        }
    }

    fn heard(records: impl IntoIterator<Item = Record>) -> Vec<String> {
        let mut watch = Watch::default();
        records
            .into_iter()
            .flat_map(|record| watch.see(&record))
            .collect()
    }

    #[test]
    fn a_discriminator_that_always_wins_is_named_once_with_what_to_do() {
        let always = (1..=500).map(|i| step(i, &[("accuracy_source", 1.0), ("accuracy_target", 0.97)]));
        let warnings = heard(always);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].starts_with("step 200:") && warnings[0].contains("source discriminator"),
            "{warnings:?}"
        );
        assert!(warnings[0].contains("loss.adversarial"), "{warnings:?}");
        assert!(
            heard((1..200).map(|i| step(i, &[("accuracy_source", 1.0)]))).is_empty(),
            "not long enough"
        );
        // Gone away and come back: a warning again.
        let value = |i: u64| if (201..300).contains(&i) { 0.5 } else { 1.0 };
        let again = heard((1..=600).map(|i| step(i, &[("accuracy_feature", value(i))])));
        assert_eq!(again.len(), 2, "{again:?}");
    }

    #[test]
    fn features_that_are_all_alike_are_told_from_features_that_agree() {
        let cosines = |p, n| heard([step(20, &[("cosine_positive", p), ("cosine_negative", n)])]);
        assert!(cosines(0.99, 0.99)[0].contains("collapsed"));
        assert!(cosines(0.99, 0.3).is_empty() && cosines(0.97, 0.97).is_empty());
    }

    #[test]
    fn a_score_that_swings_is_told_from_one_that_climbs() {
        let validations = |scores: &[f64]| {
            let records = scores.iter().enumerate().map(|(i, psnr_db)| Record::Validation {
                step: 100 * i as u64,
                scores: [(
                    SR.to_owned(),
                    ValidationScores {
                        psnr_db: *psnr_db,
                        ssim: 0.9,
                        masked_psnr_db: *psnr_db,
                        masked_ssim: 0.9,
                        brain_psnr_db: *psnr_db,
                        brain_ssim: 0.9,
                    },
                )]
                .into(),
            });
            heard(records.collect::<Vec<_>>())
        };
        assert!(validations(&[30.0, 31.0, 30.2, 30.9])[0].contains("up and down"));
        assert!(validations(&[30.0, 31.0, 32.0, 33.0]).is_empty());
        assert!(
            validations(&[30.0, 30.6, 30.2, 30.9]).is_empty(),
            "one move is less than half a decibel"
        );
    }

    #[test]
    fn waiting_for_data_is_said() {
        let waiting = |share: f64| {
            heard((1..=150).map(|i| match step(i, &[]) {
                Record::Step {
                    step,
                    seconds,
                    learning_rate,
                    terms,
                    ..
                } => Record::Step {
                    step,
                    seconds,
                    waiting: share,
                    learning_rate,
                    terms,
                },
                other => other,
            }))
        };
        assert!(waiting(0.05)[0].contains("5.0 %") && waiting(0.01).is_empty());
    }
}
