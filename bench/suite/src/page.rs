//! The outcome as a table, and as a page of Markdown.

use std::fs;
use std::path::Path;

use dunlin_bench::short;

use crate::file::{Broker, File};
use crate::plot;
use crate::results::{Column, Results};

/// A table in Markdown, which also reads well as it is.
pub(crate) fn table(results: &Results) -> String {
    let mut keys = vec![results.figure.as_str()];
    keys.extend(results.also.iter().map(String::as_str));
    let mut rows = vec![header(results, &keys)];
    for column in &results.columns {
        rows.push(row(results, column, &keys));
    }
    let mut text = format!("### {}\n\n`dunlin bench {}`\n\n", results.name, results.bench);
    text.push_str(&laid_out(&rows));
    for column in &results.columns {
        if let Some(failure) = &column.failure {
            text.push_str(&format!("\n{}: not measured in every round: {failure}\n", column.name));
        }
    }
    text
}

fn header(results: &Results, keys: &[&str]) -> Vec<String> {
    let mut cells = vec![String::new()];
    for key in keys {
        let meaning = results.meaning(key);
        cells.push(
            meaning.map_or_else(|| (*key).to_owned(), |figure| format!("{} ({})", figure.label, figure.unit)),
        );
    }
    cells.extend(["lost", "wrong", "memory", "generator"].map(str::to_owned));
    cells
}

fn row(results: &Results, column: &Column, keys: &[&str]) -> Vec<String> {
    let mut cells = vec![column.name.clone()];
    for (at, key) in keys.iter().enumerate() {
        let Some(spread) = column.spread(key) else {
            cells.push("-".to_owned());
            continue;
        };
        let mut cell = short(spread.median);
        if at == 0 {
            cell.push_str(&format!(" ±{:.0} %", 100.0 * spread.relative()));
            let first = results.columns.first().and_then(|first| first.spread(key));
            if let Some(first) = first.filter(|first| first.median > 0.0) {
                cell.push_str(&format!(", {:.2}x", spread.median / first.median));
            }
        }
        cells.push(cell);
    }
    cells.push(column.total(|round| round.lost).to_string());
    cells.push(column.total(|round| round.wrong).to_string());
    #[allow(clippy::cast_precision_loss, reason = "a measurement")]
    let memory = column.median(|round| round.memory.map(|bytes| bytes as f64));
    cells.push(memory.map_or_else(|| "-".to_owned(), |bytes| format!("{}B", short(bytes))));
    let busy = column.median(|round| Some(round.generator_busy)).unwrap_or_default();
    cells.push(format!("{:.0} %", 100.0 * busy));
    cells
}

fn laid_out(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("| {cell:width$} "));
        }
        text.push_str("|\n");
        if number == 0 {
            widths.iter().for_each(|width| text.push_str(&format!("|{}", "-".repeat(width + 2))));
            text.push_str("|\n");
        }
    }
    text
}

/// The whole page, and a drawing of each scenario beside it.
pub(crate) fn write(
    path: &Path,
    file: &File,
    brokers: &[&Broker],
    all: &[Results],
    rounds: usize,
) -> Result<(), String> {
    let said = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let folder = path.with_extension("");
    fs::create_dir_all(&folder).map_err(|error| said(&folder, error))?;
    let stem = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut text = head(brokers, &file.ruler, rounds);
    for results in all {
        text.push_str(&table(results));
        let drawing = folder.join(format!("{}.svg", slug(&results.name)));
        fs::write(&drawing, plot::draw(results)).map_err(|error| said(&drawing, error))?;
        text.push_str(&format!("\n![{}]({stem}/{}.svg)\n\n", results.name, slug(&results.name)));
    }
    fs::write(path, text.trim_end().to_owned() + "\n").map_err(|error| said(path, error))
}

fn head(brokers: &[&Broker], ruler: &str, rounds: usize) -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut text = format!(
        "# Benchmarks\n\n\
         Made by `make bench`. {processors} processors ({}), Linux {}; load average before: {}. Generator and broker share the\n\
         machine, so that what a broker does *for each second it had a processor* is the figure to compare. Every broker is started\n\
         alone, anew for each measurement, in turn, {rounds} rounds; medians, half the range, and the ratio to {ruler}. *Wrong* counts\n\
         messages that came twice, out of order or to somebody else, were refused, and connections that were cut; at QoS 0\n\
         messages may be lost, and are counted.\n\n",
        model.unwrap_or("unknown"),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").trim(),
    );
    text.push_str("| broker | what an acknowledged message survives | set otherwise than it comes | command |\n|---|---|---|---|\n");
    for broker in brokers {
        let command = broker.command.join(" ");
        text.push_str(&format!(
            "| {} | {} | {} | `{command}` |\n",
            broker.name, broker.durability, broker.settings
        ));
    }
    text.push('\n');
    text
}

fn slug(name: &str) -> String {
    let text: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
        .collect();
    text.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}
