//! Latencies as curves: the share of messages on an axis of nines, the time on a logarithmic one.

use dunlin_bench::Report;

use super::MARGIN;
use super::paper::{Anchor, Paper, shortened};
use crate::bench::number::time;
use crate::bench::versus::{Broker, Comparison};

const HEIGHT: f64 = 260.0;
/// Room for the numbers of the time axis.
const LEFT: f64 = 70.0;
/// Shares that the axis names; the last one is the right end.
const SHARES: [(f64, &str); 6] = [
    (0.0, "0"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (0.99999, "99.999 %"),
];
/// Median and worst are named as well, the median at its place.
const MEDIAN: f64 = 0.5;

/// Draws nothing where nothing was timed.
pub(crate) fn draw(paper: &mut Paper, comparison: &Comparison) {
    let curves: Vec<Vec<(f64, f64)>> = comparison.brokers.iter().map(medians).collect();
    let times = || curves.iter().flatten().map(|(_, nanos)| *nanos).filter(|nanos| *nanos > 0.0);
    let (least, most) = (times().fold(f64::MAX, f64::min), times().fold(0.0, f64::max));
    if most == 0.0 {
        return;
    }
    let (low, high) = (least.log10().floor(), most.log10().ceil().max(least.log10().floor() + 1.0));
    paper.text(MARGIN, 12.0, "head", Anchor::Start, "latency by share of the messages");
    paper.text(paper.width() - MARGIN, 12.0, "muted", Anchor::End, "lower is better");
    paper.down(28.0);
    legend(paper, comparison);

    let (left, right) = (MARGIN + LEFT, paper.width() - MARGIN - 40.0);
    let x = |share: f64| left + (right - left) * nines(share) / 5.0;
    let y = |nanos: f64| HEIGHT - HEIGHT * (nanos.max(least).log10() - low) / (high - low);
    let mut power = low;
    while power <= high + 0.01 {
        let at = y(10_f64.powf(power).max(least));
        let at = if power == low { HEIGHT } else { at };
        paper.grid((left, at), (right, at));
        paper.text(left - 10.0, at + 4.0, "muted", Anchor::End, &round(10_f64.powf(power)));
        power += 1.0;
    }
    for (share, label) in SHARES.into_iter().chain([(MEDIAN, "50 %")]) {
        paper.grid((x(share), 0.0), (x(share), HEIGHT));
        paper.text(x(share), HEIGHT + 18.0, "muted", Anchor::Middle, label);
    }
    for (which, curve) in curves.iter().enumerate() {
        let points: Vec<_> = curve.iter().map(|(share, nanos)| (x(*share), y(*nanos))).collect();
        paper.curve(&points, which);
    }
    paper.down(HEIGHT + 32.0);
}

/// A name beside the colour of its curve.
fn legend(paper: &mut Paper, comparison: &Comparison) {
    let mut x = MARGIN + LEFT;
    for (which, broker) in comparison.brokers.iter().enumerate() {
        let name = shortened(&broker.name, 22);
        #[allow(clippy::cast_precision_loss, reason = "at most 22 letters")]
        let width = 34.0 + 8.0 * name.chars().count() as f64;
        if x + width > paper.width() - MARGIN {
            x = MARGIN + LEFT;
            paper.down(18.0);
        }
        paper.curve(&[(x, 0.0), (x + 18.0, 0.0)], which);
        paper.text(x + 24.0, 4.0, "name", Anchor::Start, &name);
        x += width + 16.0;
    }
    paper.down(18.0);
}

/// How many nines a share has: 0.99 has two; five at most.
fn nines(share: f64) -> f64 {
    (-(1.0 - share).max(1e-5).log10()).clamp(0.0, 5.0)
}

/// A power of ten as the axis names it.
fn round(nanos: f64) -> String {
    time(nanos).replace(".00", "").replace(".0", "")
}

/// A broker's curve: at each share the median of the rounds. What has fewer messages than a share needs stops before.
fn medians(broker: &Broker) -> Vec<(f64, f64)> {
    let Some(first) = broker.reports.iter().find_map(|report| report.latency.as_ref()) else {
        return Vec::new();
    };
    #[allow(clippy::cast_precision_loss, reason = "a measurement")]
    let at = |report: &Report, index: usize| Some(report.latency.as_ref()?.curve.get(index)?.1 as f64);
    #[allow(clippy::cast_precision_loss, reason = "a measurement")]
    let count = |report: &Report| Some(report.latency.as_ref()?.count as f64);
    let messages = broker.median(count).unwrap_or_default();
    let shares = first.curve.iter().enumerate();
    shares
        .filter(|(_, (share, _))| *share <= 0.99999 && (1.0 - share) * messages >= 1.0)
        .filter_map(|(index, (share, _))| Some((*share, broker.median(|report| at(report, index))?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stand_at_their_nines() {
        for (expected, (share, _)) in [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].into_iter().zip(SHARES) {
            assert!((nines(share) - expected).abs() < 1e-6, "{share}");
        }
        assert!((nines(1.0) - 5.0).abs() < 1e-6);
    }

    #[test]
    fn the_axis_names_powers_of_ten() {
        assert_eq!((round(1e3), round(1e4), round(1e6)), ("1 µs".into(), "10 µs".into(), "1 ms".into()));
        assert_eq!((round(100.0), round(1e9)), ("100 ns".to_owned(), "1 s".to_owned()));
    }
}
