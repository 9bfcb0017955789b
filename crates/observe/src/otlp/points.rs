//! The samples of the catalogue as the body of a request.

use std::fmt::Display;

use serde_json::{Value, json};

use super::{Resource, text};
use crate::catalogue::{Kind, Metric};
use crate::exposition::Samples;

/// Of counters and histograms: since the process began.
const CUMULATIVE: u8 = 2;

/// Samples, collected.
#[derive(Debug)]
pub struct Points {
    /// Nanoseconds since 1970: when the process began, and now.
    began: u64,
    now: u64,
    metrics: Vec<(Metric, Vec<Value>)>,
}

impl Points {
    /// None yet. `began`, `now`: nanoseconds since 1970.
    #[must_use]
    pub const fn new(began: u64, now: u64) -> Self {
        Self { began, now, metrics: Vec::new() }
    }

    /// The body of a request to `/v1/metrics`.
    #[must_use]
    pub fn finish(self, resource: &Resource) -> Vec<u8> {
        let metrics: Vec<_> =
            self.metrics.into_iter().map(|(metric, points)| described(metric, points)).collect();
        let body = json!({ "resourceMetrics": [{
            "resource": resource.value(),
            "scopeMetrics": [{ "scope": resource.scope(), "metrics": metrics }],
        }] });
        body.to_string().into_bytes()
    }

    fn add(&mut self, metric: Metric, mut point: Value) {
        point["timeUnixNano"] = self.now.to_string().into();
        if metric.kind() != Kind::Gauge {
            point["startTimeUnixNano"] = self.began.to_string().into();
        }
        match self.metrics.last_mut() {
            Some((last, points)) if *last == metric => points.push(point),
            _ => self.metrics.push((metric, vec![point])),
        }
    }
}

/// Whole numbers stay whole.
fn number(value: &str) -> Value {
    match value.parse::<i64>() {
        Ok(_) => json!({ "asInt": value }),
        Err(_) => json!({ "asDouble": value.parse::<f64>().unwrap_or_default() }),
    }
}

fn described(metric: Metric, points: Vec<Value>) -> Value {
    let unit = match metric.unit() {
        "seconds" => "s",
        "bytes" => "By",
        _ => "1",
    };
    let mut found = json!({ "name": metric.family(), "description": metric.help(), "unit": unit });
    let (name, data) = match metric.kind() {
        Kind::Counter => (
            "sum",
            json!({ "dataPoints": points, "aggregationTemporality": CUMULATIVE, "isMonotonic": true }),
        ),
        Kind::Gauge => ("gauge", json!({ "dataPoints": points })),
        Kind::Histogram => {
            ("histogram", json!({ "dataPoints": points, "aggregationTemporality": CUMULATIVE }))
        }
    };
    found[name] = data;
    found
}

impl Samples for Points {
    fn sample(&mut self, metric: Metric, value: impl Display) {
        self.add(metric, number(&value.to_string()));
    }

    fn labelled(&mut self, metric: Metric, label: impl Display, value: impl Display) {
        let mut point = number(&value.to_string());
        point["attributes"] = json!([text(metric.label(), &label.to_string())]);
        self.add(metric, point);
    }

    #[allow(clippy::cast_precision_loss, reason = "bounds and sums of seconds")]
    fn histogram(&mut self, metric: Metric, buckets: &[(u64, u64)], beyond: u64, sum_micros: u64) {
        let seconds = |micros: u64| micros as f64 / 1e6;
        let counts = buckets.iter().map(|(_, count)| *count).chain([beyond]);
        let point = json!({
            "count": counts.clone().sum::<u64>().to_string(),
            "sum": seconds(sum_micros),
            "bucketCounts": counts.map(|count| count.to_string()).collect::<Vec<_>>(),
            "explicitBounds": buckets.iter().map(|(bound, _)| seconds(*bound)).collect::<Vec<_>>(),
        });
        self.add(metric, point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_metric_are_its_points() {
        let mut points = Points::new(1, 2);
        points.sample(Metric::Connections, 3);
        points.labelled(Metric::PublishReceived, 0, 7);
        points.labelled(Metric::PublishReceived, 1, 8);
        points.histogram(Metric::TickSeconds, &[(8, 1), (1_000_000, 2)], 1, 12_500_008);
        let resource = Resource { version: "1".to_owned(), instance: "i".to_owned() };
        let body: Value = serde_json::from_slice(&points.finish(&resource)).unwrap();
        let metrics = &body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
        assert_eq!(metrics.as_array().map(Vec::len), Some(3));
        assert_eq!(metrics[0]["gauge"]["dataPoints"][0]["asInt"], "3");
        let received = &metrics[1]["sum"]["dataPoints"];
        assert_eq!(received[1]["asInt"], "8");
        assert_eq!(received[1]["attributes"][0]["value"]["stringValue"], "1");
        let tick = &metrics[2]["histogram"]["dataPoints"][0];
        assert_eq!((&tick["count"], &tick["sum"]), (&json!("4"), &json!(12.500_008)));
        assert_eq!(tick["bucketCounts"], json!(["1", "2", "1"]));
        assert_eq!(tick["explicitBounds"], json!([0.000_008, 1.0]));
        assert_eq!(metrics[2]["unit"], "s");
    }
}
