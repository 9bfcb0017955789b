//! Samples as text: the format of Prometheus, and OpenMetrics 1.0.
//!
//! In:    a metric with its samples, one metric after the other.
//! Out:   the text.
//! Never: a metric in two places, or with a label that it does not have.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};

use crate::catalogue::{Kind, Metric};

/// How the text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Version 0.0.4 of Prometheus' own.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What a request that accepts `accept` gets.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// For the head of the answer.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Where samples go, one metric after the other.
pub trait Samples {
    /// A sample of a metric without a label.
    fn sample(&mut self, metric: Metric, value: impl Display);

    /// A sample of a metric with a label.
    fn labelled(&mut self, metric: Metric, label: impl Display, value: impl Display);

    /// A histogram: counts by upper bounds in microseconds, those beyond the last, and the sum.
    fn histogram(&mut self, metric: Metric, buckets: &[(u64, u64)], beyond: u64, sum_micros: u64);
}

/// A text that is being written.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    out: String,
    current: Option<Metric>,
    seen: BTreeSet<Metric>,
}

impl Exposition {
    /// An empty one.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, out: String::with_capacity(16 * 1024), current: None, seen: BTreeSet::new() }
    }

    /// The whole text.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn head(&mut self, metric: Metric) {
        if self.current == Some(metric) {
            return;
        }
        assert!(self.seen.insert(metric), "{metric:?} is in two places");
        self.current = Some(metric);
        let (kind, unit, help) = (metric.kind().name(), metric.unit(), metric.help());
        if self.format == Format::OpenMetrics {
            let name = metric.family();
            self.line(format_args!("# TYPE {name} {kind}"));
            if !unit.is_empty() {
                self.line(format_args!("# UNIT {name} {unit}"));
            }
            self.line(format_args!("# HELP {name} {help}"));
        } else {
            let name = metric.name();
            self.line(format_args!("# HELP {name} {help}"));
            self.line(format_args!("# TYPE {name} {kind}"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.out, "{line}");
    }
}

impl Samples for Exposition {
    fn sample(&mut self, metric: Metric, value: impl Display) {
        assert!(metric.label().is_empty(), "{metric:?} has a label");
        self.head(metric);
        self.line(format_args!("{} {value}", metric.name()));
    }

    fn labelled(&mut self, metric: Metric, label: impl Display, value: impl Display) {
        assert!(!metric.label().is_empty(), "{metric:?} has no label");
        self.head(metric);
        self.line(format_args!("{}{{{}=\"{label}\"}} {value}", metric.name(), metric.label()));
    }

    fn histogram(&mut self, metric: Metric, buckets: &[(u64, u64)], beyond: u64, sum_micros: u64) {
        assert!(metric.kind() == Kind::Histogram, "{metric:?} is none");
        self.head(metric);
        let name = metric.family();
        let mut count = 0;
        for (bound, here) in buckets {
            count += here;
            self.line(format_args!("{name}_bucket{{le=\"{}\"}} {count}", Seconds(*bound)));
        }
        count += beyond;
        self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
        self.line(format_args!("{name}_sum {}", Seconds(sum_micros)));
        self.line(format_args!("{name}_count {count}"));
    }
}

/// Microseconds, written as seconds without a loss.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        let text = text.trim_end_matches('0');
        let digits = if text.ends_with('.') { "0" } else { "" };
        write!(out, "{text}{digits}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: Format) -> String {
        let mut exposition = Exposition::new(format);
        exposition.sample(Metric::Connections, 3);
        exposition.labelled(Metric::PublishReceived, 0, 7);
        exposition.labelled(Metric::PublishReceived, 1, 0);
        exposition.histogram(Metric::TickSeconds, &[(8, 1), (1_000_000, 2)], 1, 12_500_008);
        exposition.finish()
    }

    #[test]
    fn prometheus_reads_counters_by_their_full_names() {
        let text = text(Format::Prometheus);
        assert!(text.contains(
            "# TYPE mqtt_publish_received_total counter\nmqtt_publish_received_total{qos=\"0\"} 7\n"
        ));
        assert!(text.contains("mqtt_publish_received_total{qos=\"1\"} 0\n"), "{text}");
        assert!(!text.contains("EOF"), "{text}");
    }

    #[test]
    fn openmetrics_names_families_units_and_the_end() {
        let text = text(Format::OpenMetrics);
        assert!(text.contains("# TYPE mqtt_publish_received counter\n"), "{text}");
        assert!(text.contains("# UNIT runtime_tick_seconds seconds\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn the_buckets_of_a_histogram_add_up() {
        let text = text(Format::Prometheus);
        for line in [
            "runtime_tick_seconds_bucket{le=\"0.000008\"} 1",
            "runtime_tick_seconds_bucket{le=\"1.0\"} 3",
            "runtime_tick_seconds_bucket{le=\"+Inf\"} 4",
            "runtime_tick_seconds_sum 12.500008",
            "runtime_tick_seconds_count 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn who_accepts_openmetrics_gets_it() {
        assert_eq!(
            Format::accepted("application/openmetrics-text;version=1.0.0,*/*;q=0.1"),
            Format::OpenMetrics
        );
        assert_eq!(Format::accepted("text/plain"), Format::Prometheus);
        assert_eq!(Format::accepted(""), Format::Prometheus);
    }
}
