//! The result as a drawing (SVG): a bar for each broker and figure, and the latencies as curves.
//!
//! Never: scripts, fonts or anything else from elsewhere; a name that is not escaped.

mod curve;
mod paper;

use clap::ValueEnum;
use dunlin_bench::{Better, Figure};

use super::number::with_unit;
use super::table;
use super::versus::Comparison;
use paper::{Anchor, Paper};

/// Colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Theme {
    /// As whoever looks at it has set
    Auto,
    /// Dark on light
    Light,
    /// Light on dark
    Dark,
}

/// All lengths are in pixels of a drawing that is this wide.
const WIDTH: f64 = 880.0;
const MARGIN: f64 = 24.0;
const LABELS: f64 = 170.0;
/// Room right of the longest bar for its value.
const VALUES: f64 = 190.0;
const BAR: f64 = 18.0;
const GAP: f64 = 6.0;

/// Draws everything that there is to compare.
pub(crate) fn draw(comparison: &Comparison, theme: Theme) -> String {
    let mut paper = Paper::new(WIDTH, MARGIN);
    if let Some(report) = comparison.reports().next() {
        paper.text(MARGIN, 20.0, "title", Anchor::Start, &table::question(&report.settings));
        paper.down(26.0);
        let rounds = comparison.brokers.first().map_or(0, |broker| broker.reports.len());
        let rounds = if rounds > 1 {
            format!("; medians of {rounds} rounds, whiskers from least to most")
        } else {
            String::new()
        };
        let pace = format!("{}{rounds}", table::pace(&report.settings));
        paper.text(MARGIN, 14.0, "muted", Anchor::Start, &pace);
        paper.down(34.0);
    }
    // Latencies have their curve; how busy the broker was explains, and is no merit.
    let is_bar = |figure: &&Figure| figure.better != Better::Neither && figure.unit != "µs";
    for figure in comparison.figures().into_iter().filter(is_bar) {
        bars(&mut paper, comparison, figure);
    }
    curve::draw(&mut paper, comparison);
    paper.finish(theme)
}

/// One figure: a heading, and a bar for each broker.
fn bars(paper: &mut Paper, comparison: &Comparison, figure: &Figure) {
    let hint = if figure.better == Better::Higher { "more is better" } else { "less is better" };
    paper.text(MARGIN, 12.0, "head", Anchor::Start, figure.label);
    paper.text(WIDTH - MARGIN, 12.0, "muted", Anchor::End, hint);
    paper.down(22.0);
    let spreads: Vec<_> = comparison.brokers.iter().map(|broker| broker.spread(figure.key)).collect();
    let most = spreads.iter().flatten().map(|spread| spread.most).fold(0.0, f64::max);
    let room = WIDTH - 2.0 * MARGIN - LABELS - VALUES;
    let scale = if most > 0.0 { room / most } else { 0.0 };
    let left = MARGIN + LABELS;
    for (which, (broker, spread)) in comparison.brokers.iter().zip(&spreads).enumerate() {
        paper.text(left - 10.0, BAR - 4.5, "name", Anchor::End, &paper::shortened(&broker.name, 22));
        let Some(spread) = spread else {
            paper.text(left, BAR - 4.5, "muted", Anchor::Start, "not measured");
            paper.down(BAR + GAP);
            continue;
        };
        paper.bar(left, spread.median * scale, BAR, which);
        if broker.reports.len() > 1 {
            paper.whisker(left + spread.least * scale, left + spread.most * scale, BAR / 2.0);
        }
        let mut value = with_unit(spread.median, figure.unit);
        if let Some(ratio) = comparison.ratio(which, figure.key).filter(|_| which > 0) {
            value.push_str(&format!("  ({}x)", dunlin_bench::short(ratio)));
        }
        paper.text(left + spread.most * scale + 8.0, BAR - 4.5, "value", Anchor::Start, &value);
        paper.down(BAR + GAP);
    }
    paper.down(16.0);
}
