//! The result for people: a column for each broker.

use dunlin_bench::{Figure, Report, Settings, short};

use super::number::{exact, plural, time, with_unit};
use super::versus::{Broker, Comparison};

/// A row: what it is about, and a cell for each broker.
type Row = (String, Vec<String>);

/// The whole text.
pub(crate) fn write(comparison: &Comparison) -> String {
    let mut rows: Vec<Row> = Vec::new();
    if comparison.brokers.len() > 1 {
        rows.push((String::new(), comparison.brokers.iter().map(|broker| broker.name.clone()).collect()));
    }
    rows.extend(comparison.figures().into_iter().map(|figure| figure_row(comparison, figure)));
    rows.push((String::new(), Vec::new()));
    rows.extend(account(comparison));
    rows.push((String::new(), Vec::new()));
    rows.extend(processes(comparison));
    let mut text = comparison.reports().next().map(|report| head(comparison, report)).unwrap_or_default();
    text.push_str(&laid_out(&rows));
    text
}

/// What was asked.
pub(crate) fn question(settings: &Settings) -> String {
    let Settings { scenario, version, qos, payload_bytes, publishers, subscribers, connections, .. } =
        settings;
    let over = if settings.tls { " over TLS" } else { "" };
    match *scenario {
        "idle" => format!(
            "idle: {}, MQTT {version}{over}",
            plural(u32::try_from(*connections).unwrap_or(u32::MAX), "connection")
        ),
        "connect" => format!("connect: MQTT {version}{over}"),
        _ => format!(
            "{scenario}: QoS {qos}, {payload_bytes} B, {}, {}, MQTT {version}{over}",
            plural(*publishers, "publisher"),
            plural(*subscribers, "subscriber"),
        ),
    }
}

/// At what pace.
pub(crate) fn pace(settings: &Settings) -> String {
    match (settings.scenario, settings.rate, settings.burst) {
        ("idle", _, _) => "connections are opened, then held".to_owned(),
        ("connect", Some(rate), _) => format!("{} connections a second are due", short(rate)),
        ("connect", None, _) => "as fast as they are accepted".to_owned(),
        (_, Some(rate), _) => format!("open loop: {} messages a second are due", short(rate)),
        (_, None, burst) => format!(
            "closed loop: turns of {}, windows of {}, {} copies under way at most",
            burst.unwrap_or(1),
            settings.window,
            exact(settings.outstanding)
        ),
    }
}

fn head(comparison: &Comparison, report: &Report) -> String {
    let rounds = comparison.brokers.first().map_or(0, |broker| broker.reports.len());
    let measured = if rounds > 1 {
        let half = if comparison.brokers.len() > 1 {
            "; medians, half the range, ratio to the first"
        } else {
            "; medians, half the range"
        };
        format!("{rounds} rounds of {}{half}", time(report.seconds * 1e9))
    } else {
        format!("measured for {}", time(report.seconds * 1e9))
    };
    let address = match comparison.brokers.as_slice() {
        [only] => format!("{}\n", only.name),
        _ => String::new(),
    };
    format!("{}\n{}\n{measured}\n{address}\n", question(&report.settings), pace(&report.settings))
}

fn figure_row(comparison: &Comparison, figure: &Figure) -> Row {
    let cell = |(which, broker): (usize, &Broker)| {
        let Some(spread) = broker.spread(figure.key) else { return "-".to_owned() };
        let mut cell = with_unit(spread.median, figure.unit);
        if broker.reports.len() > 1 {
            cell.push_str(&format!(" ±{:.0} %", spread.relative() * 100.0));
        }
        match comparison.ratio(which, figure.key) {
            Some(ratio) if which > 0 => cell.push_str(&format!("  {}x", short(ratio))),
            _ => {}
        }
        cell
    };
    (figure.label.to_owned(), comparison.brokers.iter().enumerate().map(cell).collect())
}

/// What became of the messages, over all rounds and their warm-ups.
fn account(comparison: &Comparison) -> Vec<Row> {
    let row = |label: &str, of: fn(&Report) -> u64| -> Row {
        let cells = comparison.brokers.iter().map(|broker| exact(broker.total(of))).collect();
        (label.to_owned(), cells)
    };
    let has_messages = comparison.reports().any(|report| report.expected > 0);
    let has_qos = comparison.reports().any(|report| report.settings.qos > 0);
    let mut rows = Vec::new();
    if has_messages {
        rows.push(row("sent", |report| report.sent));
        if has_qos {
            rows.push(row("acknowledged", |report| report.acknowledged));
        }
        rows.push(row("copies due", |report| report.expected));
        rows.push(row("copies delivered", |report| report.delivered));
        rows.push(row("lost", |report| report.faults.lost));
        rows.push(row("duplicated", |report| report.faults.duplicated));
        rows.push(row("out of order", |report| report.faults.out_of_order));
    }
    // What is rarely there is shown where it is.
    let mut rare = |label: &str, of: fn(&Report) -> u64| {
        if comparison.reports().any(|report| of(report) > 0) {
            rows.push(row(label, of));
        }
    };
    rare("for somebody else", |report| report.faults.misrouted);
    rare("refused", |report| report.refused);
    rare("due, and never sent", |report| report.unsent);
    rare("given up for a while", |report| report.stalls);
    rows.push(row("connections cut", |report| report.disconnected));
    rows
}

fn processes(comparison: &Comparison) -> Vec<Row> {
    let row = |label: &str, cell: &dyn Fn(&Broker) -> Option<String>| -> Row {
        let cells = comparison.brokers.iter().map(|broker| cell(broker).unwrap_or_else(|| "-".to_owned()));
        (label.to_owned(), cells.collect())
    };
    #[allow(clippy::cast_precision_loss, reason = "a measurement")]
    let peak = |report: &Report| report.broker.as_ref().map(|process| process.memory_peak as f64);
    let process = |broker: &Broker| {
        let process = broker.reports.last()?.broker.as_ref()?;
        Some(format!("{} ({})", process.name, process.pid))
    };
    vec![
        row("broker's process", &process),
        row("broker's memory, most", &|broker| Some(with_unit(broker.median(peak)?, "B"))),
        row("per generator CPU second", &|broker| {
            Some(short(broker.median(|report| Some(report.generator.delivered_per_cpu_second))?))
        }),
        row("generator busy", &|broker| {
            Some(with_unit(broker.median(|report| Some(report.generator.busy))? * 100.0, "%"))
        }),
    ]
}

fn laid_out(rows: &[Row]) -> String {
    let width = |text: &String| text.chars().count();
    let labels = rows.iter().map(|(label, _)| width(label)).max().unwrap_or(0);
    let columns = rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    let column = |at: usize| rows.iter().filter_map(|(_, cells)| cells.get(at)).map(width).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(column).collect();
    let mut text = String::new();
    for (label, cells) in rows {
        let mut line = format!("{label:labels$}");
        for (cell, width) in cells.iter().zip(&widths) {
            line.push_str(&format!("  {cell:width$}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let row = |label: &str, cells: &[&str]| -> Row {
            (label.to_owned(), cells.iter().map(|cell| (*cell).to_owned()).collect())
        };
        let rows = [row("", &["one", "two"]), row("latency", &["1 µs", "-"]), row("", &[])];
        assert_eq!(laid_out(&rows), "         one   two\nlatency  1 µs  -\n\n");
    }
}
