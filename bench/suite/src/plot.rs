//! A scenario as a drawing: a bar for each broker, a whisker from its least to its most.

use dunlin_bench::short;

use crate::results::Results;

const WIDTH: f64 = 760.0;
const LABELS: f64 = 150.0;
const VALUES: f64 = 120.0;
const BAR: f64 = 20.0;
const STEP: f64 = 28.0;
const TOP: f64 = 48.0;

/// SVG without scripts or fonts from elsewhere; its colours follow light and dark.
pub(crate) fn draw(results: &Results) -> String {
    let spreads: Vec<_> = results.columns.iter().map(|column| column.spread(&results.figure)).collect();
    let most = spreads.iter().flatten().map(|spread| spread.most).fold(0.0, f64::max);
    let scale = if most > 0.0 { (WIDTH - LABELS - VALUES) / most } else { 0.0 };
    let meaning = results.meaning(&results.figure);
    let label = meaning.map_or_else(String::new, |figure| {
        format!(
            "{} ({}), {} is better",
            figure.label,
            figure.unit,
            if figure.better == "lower" { "less" } else { "more" }
        )
    });
    #[allow(clippy::cast_precision_loss, reason = "a handful")]
    let height = TOP + STEP * spreads.len() as f64 + 10.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <style>text{{fill:#222}}.m{{fill:#666}}.b{{fill:#2a6f97}}.f{{fill:#9db4c0}}path{{stroke:#222}}\
         @media(prefers-color-scheme:dark){{text{{fill:#eee}}.m{{fill:#aaa}}path{{stroke:#eee}}}}</style>\n\
         <text x=\"10\" y=\"18\" font-weight=\"bold\">{}</text>\n<text class=\"m\" x=\"10\" y=\"36\">{}</text>\n",
        escaped(&results.name),
        escaped(&label),
    );
    let mut y = TOP;
    for (at, (column, spread)) in results.columns.iter().zip(&spreads).enumerate() {
        let middle = y + BAR / 2.0;
        text.push_str(&format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
            LABELS - 8.0,
            middle + 4.5,
            escaped(&column.name)
        ));
        let Some(spread) = spread else {
            text.push_str(&format!(
                "<text class=\"m\" x=\"{LABELS}\" y=\"{}\">not measured</text>\n",
                middle + 4.5
            ));
            y += STEP;
            continue;
        };
        let class = if at == 0 { "f" } else { "b" };
        let (from, to) = (LABELS + spread.least * scale, LABELS + spread.most * scale);
        text.push_str(&format!(
            "<rect class=\"{class}\" x=\"{LABELS}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\"/>\n\
             <path d=\"M{from:.1} {middle}H{to:.1}\"/>\n<text x=\"{:.1}\" y=\"{}\">{}</text>\n",
            spread.median * scale,
            to + 8.0,
            middle + 4.5,
            short(spread.median)
        ));
        y += STEP;
    }
    text.push_str("</svg>\n");
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
