//! What the scores say, in sentences: what is bad as plainly as what is good.

use voxelift_volume::baseline::Baseline;
use voxelift_volume::metrics::Score;

use super::page::{Finding, Page, Verdict};
use super::pairs::{Pairs, Region};
use super::shells::{curve, value_at};

/// What every method is measured against.
const BASELINE: Baseline = Baseline::ZeroFill;

/// A mean correlation that is lower by less than this is the same.
const SAME: f64 = 0.001;

/// Adds what the scores of every method that is no baseline say; `lr_nyquist` is in cycles per mm.
pub fn add_findings(page: &mut Page, pairs: &Pairs, lr_nyquist: Option<f64>) {
    let findings = findings(pairs, lr_nyquist);
    if !findings.is_empty() {
        page.heading("What the numbers say");
        page.findings(&findings);
    }
}

fn findings(pairs: &Pairs, lr_nyquist: Option<f64>) -> Vec<Finding> {
    let methods = pairs.methods();
    let learned = methods
        .iter()
        .filter(|method| method.parse::<Baseline>().is_err());
    let mut all = Vec::new();
    let beside_baseline = methods.contains(&BASELINE.name());
    for method in learned {
        if beside_baseline {
            all.extend(gain(pairs, method));
            all.extend(best_baseline(pairs, method));
            all.extend(worse_scores(pairs, method));
            all.extend(lr_nyquist.and_then(|nyquist| measured_band(pairs, method, nyquist)));
            all.extend(beyond(pairs, method));
        }
        all.extend(limit(pairs, method));
    }
    if !beside_baseline && !all.is_empty() {
        all.push(Finding {
            verdict: Verdict::Open,
            text: "No baseline was scored beside it, so nothing here says whether this is better than interpolation: add the scan \
                   zero-filled to the table of pairs."
                .to_owned(),
        });
    }
    all
}

fn finding(good: bool, text: String) -> Finding {
    Finding {
        verdict: if good { Verdict::Good } else { Verdict::Bad },
        text,
    }
}

/// PSNR against zero-fill, subject by subject.
fn gain(pairs: &Pairs, method: &str) -> Option<Finding> {
    let own = pairs.by_person(Score::Psnr, method, Region::Headline);
    let base = pairs.by_person(Score::Psnr, BASELINE.name(), Region::Headline);
    let gains: Vec<f64> = own
        .iter()
        .filter_map(|(subject, value)| Some(value - base.get(subject)?))
        .collect();
    let mean = gains.iter().sum::<f64>() / (!gains.is_empty()).then_some(gains.len() as f64)?;
    let better = gains.iter().filter(|gain| **gain > 0.0).count();
    let subjects = match gains.len() {
        1 => ", of one subject".to_owned(),
        all if better == all => format!(" on average, and above it on each of the {all} subjects"),
        all => format!(" on average; above it on {better} of {all} subjects"),
    };
    let side = if mean > 0.0 { "above" } else { "below" };
    let good = mean > 0.0 && better == gains.len();
    Some(finding(
        good,
        format!(
            "{method}: PSNR {} is {:.2} dB {side} zero-fill{subjects}.",
            pairs.headline_region(),
            mean.abs()
        ),
    ))
}

/// A baseline other than zero-fill that is better still.
fn best_baseline(pairs: &Pairs, method: &str) -> Option<Finding> {
    let mean = |name: &str| Some(pairs.summary(Score::Psnr, name, Region::Headline)?.mean);
    let own = mean(method)?;
    let others = Baseline::ALL.into_iter().filter(|baseline| *baseline != BASELINE);
    let better = others.filter_map(|baseline| Some((baseline, mean(baseline.name())? - own)));
    let (baseline, by) = better
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, by)| *by > 0.0)?;
    Some(finding(
        false,
        format!(
            "{method}: {baseline}, which needs no training, has {by:.2} dB more PSNR {}.",
            pairs.headline_region()
        ),
    ))
}

/// Every score in which zero-fill is better.
fn worse_scores(pairs: &Pairs, method: &str) -> Option<Finding> {
    let worse: Vec<String> = pairs
        .present()
        .into_iter()
        .filter(|score| *score != Score::Psnr)
        .filter_map(|score| {
            let mean = |name| Some(pairs.summary(score, name, Region::Headline)?.mean);
            let (own, base) = (mean(method)?, mean(BASELINE.name())?);
            let texts = [own, base].map(|value| score.format(Some(value)));
            let is_worse = score.direction().prefers(base, own) && texts[0] != texts[1];
            is_worse.then(|| format!("{} ({} against {})", score.label(), texts[0], texts[1]))
        })
        .collect();
    (!worse.is_empty()).then(|| {
        finding(
            false,
            format!(
                "{method}: zero-fill is better {} by {}.",
                pairs.headline_region(),
                worse.join(", ")
            ),
        )
    })
}

/// What happened to frequencies that the scan measured.
fn measured_band(pairs: &Pairs, method: &str, nyquist: f64) -> Option<Finding> {
    let (mut sum, mut count, mut worst) = (0.0, 0.0, (0.0, 0.0));
    for (_, rows) in pairs.scans() {
        let of = |name: &str| {
            rows.iter()
                .find(|row| row.method() == name)
                .and_then(|row| curve(row))
        };
        let (Some(own), Some(base)) = (of(method), of(BASELINE.name())) else {
            continue;
        };
        for [x, y] in own.into_iter().filter(|[x, _]| *x < nyquist) {
            let Some(of_baseline) = value_at(&base, x) else {
                continue;
            };
            (sum, count) = (sum + y - of_baseline, count + 1.0);
            if y - of_baseline < worst.0 {
                worst = (y - of_baseline, x);
            }
        }
    }
    let mean = sum / (count > 0.0).then_some(count)?;
    let (loss, at) = worst;
    Some(if mean < -SAME {
        finding(
            false,
            format!(
                "{method}: inside the band that the scan measured, the Fourier shell correlation is below zero-fill, by {:.3} on \
                 average and by {:.3} at {at:.2} cycles/mm: what was measured has been made worse. `upscale --consistency` puts it \
                 back.",
                -mean, -loss
            ),
        )
    } else {
        finding(
            true,
            format!(
                "{method}: inside the band that the scan measured, the Fourier shell correlation is no lower than zero-fill's on \
                 average{}.",
                if loss < -SAME {
                    format!("; at {at:.2} cycles/mm it is lower by {:.3}", -loss)
                } else {
                    String::new()
                }
            ),
        )
    })
}

/// What was made beyond the scan's frequencies.
fn beyond(pairs: &Pairs, method: &str) -> Option<Finding> {
    let mean = |score| Some(pairs.summary(score, method, Region::Whole)?.mean);
    let (gain, index) = (mean(Score::GainBeyondNyquist)?, mean(Score::HallucinationIndex)?);
    let invented = format!(
        "detail that does not agree with the reference amounts to {:.0} % of the reference's energy there (hallucination index {index:.2})",
        100.0 * index
    );
    Some(if gain > 0.0 {
        finding(
            true,
            format!(
                "{method}: beyond the scan's frequencies it agrees with the reference by {gain:.3} more than zero-fill; {invented}."
            ),
        )
    } else {
        finding(
            false,
            format!(
                "{method}: beyond the scan's frequencies it agrees with the reference no more than zero-fill ({gain:+.3}); {invented}."
            ),
        )
    })
}

/// An effective resolution that is the grid's own limit says no more than that.
fn limit(pairs: &Pairs, method: &str) -> Option<Finding> {
    let rows = pairs.rows().iter().filter(|row| row.method() == method);
    let mut at_limit = rows.filter_map(|row| {
        let fsc = row.scores().whole.fsc.as_ref()?;
        let last = fsc.cycles_per_mm.last()?;
        (fsc.cutoff_cycles_per_mm >= *last).then_some(fsc.resolution_mm)
    });
    let first = at_limit.next()?;
    let finest = at_limit.fold(first, f64::min);
    Some(Finding {
        verdict: Verdict::Open,
        text: format!(
            "{method}: effective resolution at most {finest:.2} mm, the limit of the grid: the correlation does not fall below 0.5 \
             before it, so how much finer it would go is not known."
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pair(method: &str, subject: &str, psnr: f64, nrmse: f64, correlation: [f64; 4]) -> Value {
        let fsc = json!({"cycles_per_mm": [0.1, 0.2, 0.3, 0.4], "correlation": correlation,
                         "cutoff_cycles_per_mm": 0.4, "resolution_mm": 1.25,
                         "beyond_nyquist": {"gain": 0.0, "hallucination_index": 0.0}});
        json!({"method": method, "subject": subject, "reference": subject, "psnr_db": psnr, "nrmse": nrmse, "fsc": fsc,
               "masked": {"psnr_db": psnr, "nrmse": nrmse}})
    }

    fn findings_of(pairs: Vec<Value>) -> Vec<(Verdict, String)> {
        let pairs = Pairs::read(json!({"pairs": pairs})).unwrap();
        let all = findings(&pairs, Some(0.25));
        all.into_iter()
            .map(|finding| (finding.verdict, finding.text))
            .collect()
    }

    fn has(findings: &[(Verdict, String)], verdict: Verdict, words: &str) -> bool {
        findings
            .iter()
            .any(|(v, text)| *v == verdict && text.contains(words))
    }

    #[test]
    fn good_and_bad_are_told_alike() {
        let good = findings_of(vec![
            pair("zero-fill", "a", 29.0, 0.2, [1.0, 0.9, 0.7, 0.6]),
            pair("model", "a", 30.0, 0.1, [1.0, 0.95, 0.8, 0.7]),
        ]);
        assert!(
            has(&good, Verdict::Good, "1.00 dB above zero-fill, of one subject"),
            "{good:?}"
        );
        assert!(has(&good, Verdict::Good, "no lower than zero-fill's"), "{good:?}");
        assert!(
            has(&good, Verdict::Open, "at most 1.25 mm, the limit of the grid"),
            "{good:?}"
        );
        assert!(!good.iter().any(|(_, text)| text.contains("better in the mask")));
        let bad = findings_of(vec![
            pair("zero-fill", "a", 29.0, 0.1, [1.0, 0.9, 0.7, 0.6]),
            pair("lanczos", "a", 28.9, 0.1, [1.0, 0.9, 0.7, 0.6]),
            pair("model", "a", 28.0, 0.2, [1.0, 0.7, 0.8, 0.7]),
        ]);
        assert!(has(&bad, Verdict::Bad, "1.00 dB below zero-fill"), "{bad:?}");
        assert!(
            has(
                &bad,
                Verdict::Bad,
                "lanczos, which needs no training, has 0.90 dB more"
            ),
            "{bad:?}"
        );
        assert!(
            has(&bad, Verdict::Bad, "NRMSE (0.2000 against 0.1000)"),
            "{bad:?}"
        );
        assert!(
            has(
                &bad,
                Verdict::Bad,
                "by 0.100 on average and by 0.200 at 0.20 cycles/mm"
            ),
            "{bad:?}"
        );
        assert!(has(&bad, Verdict::Bad, "no more than zero-fill"), "{bad:?}");
    }

    #[test]
    fn one_subject_that_loses_is_no_gain() {
        let same = [1.0, 0.9, 0.7, 0.4];
        let mixed = findings_of(vec![
            pair("zero-fill", "a", 29.0, 0.2, same),
            pair("zero-fill", "b", 29.0, 0.2, same),
            pair("model", "a", 31.0, 0.1, same),
            pair("model", "b", 28.5, 0.1, same),
        ]);
        assert!(
            has(
                &mixed,
                Verdict::Bad,
                "0.75 dB above zero-fill on average; above it on 1 of 2 subjects"
            ),
            "{mixed:?}"
        );
    }

    #[test]
    fn without_a_baseline_nothing_is_claimed() {
        let alone = findings_of(vec![pair("model", "a", 31.0, 0.1, [1.0, 0.9, 0.8, 0.7])]);
        assert!(has(&alone, Verdict::Open, "No baseline"), "{alone:?}");
        assert!(alone.iter().all(|(verdict, _)| *verdict == Verdict::Open));
    }
}
