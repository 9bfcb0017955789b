//! What is drawn on: shapes below one another, and their colours in light and dark.

use std::fmt::Write;

use super::Theme;

/// Colours that people with any colour vision can tell apart (Okabe and Ito), light and dark.
const SERIES: [(&str, &str); 8] = [
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff9248"),
    ("#009e73", "#2fd0a2"),
    ("#cc79a7", "#e8a2c8"),
    ("#b08900", "#f0d43a"),
    ("#56637a", "#a9b4c6"),
    ("#7b4fb5", "#b996ec"),
    ("#8a3b2b", "#d98f80"),
];

/// Class, property, light colour, dark colour.
const COLOURS: [(&str, &str, &str, &str); 8] = [
    (".paper", "fill", "#ffffff", "#14181f"),
    (".title", "fill", "#10151c", "#f2f5f9"),
    (".head", "fill", "#10151c", "#f2f5f9"),
    (".name", "fill", "#2b3440", "#d3dae4"),
    (".value", "fill", "#2b3440", "#d3dae4"),
    (".muted", "fill", "#5d6876", "#98a4b3"),
    (".grid", "stroke", "#dde2e8", "#2c343f"),
    (".whisker", "stroke", "#10151c", "#f2f5f9"),
];

/// Where a text is held.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing that grows downward.
pub(crate) struct Paper {
    width: f64,
    /// Where the next shapes go.
    top: f64,
    shapes: String,
}

impl Paper {
    pub(crate) const fn new(width: f64, top: f64) -> Self {
        Self { width, top, shapes: String::new() }
    }

    pub(crate) const fn width(&self) -> f64 {
        self.width
    }

    /// What follows stands that much lower.
    pub(crate) fn down(&mut self, by: f64) {
        self.top += by;
    }

    /// A text whose baseline is `below` the top.
    pub(crate) fn text(&mut self, x: f64, below: f64, class: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let y = self.top + below;
        let text = escaped(text);
        let _ = writeln!(
            self.shapes,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    /// A bar of a series.
    pub(crate) fn bar(&mut self, x: f64, length: f64, height: f64, series: usize) {
        let (y, series) = (self.top, series % SERIES.len());
        // One that is too short to be seen is still there.
        let length = length.max(1.0);
        let _ = writeln!(
            self.shapes,
            "<rect class=\"s{series}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{height:.1}\" rx=\"2\"/>"
        );
    }

    /// A range across a bar.
    pub(crate) fn whisker(&mut self, from: f64, to: f64, below: f64) {
        let y = self.top + below;
        let (low, high) = (y - 4.0, y + 4.0);
        let _ = writeln!(
            self.shapes,
            "<path class=\"whisker\" d=\"M{from:.1} {low:.1}V{high:.1}M{from:.1} {y:.1}H{to:.1}M{to:.1} {low:.1}V{high:.1}\"/>"
        );
    }

    /// A thin line.
    pub(crate) fn grid(&mut self, from: (f64, f64), to: (f64, f64)) {
        let ((x, y), (to_x, to_y)) = (from, to);
        let (y, to_y) = (self.top + y, self.top + to_y);
        let _ = writeln!(self.shapes, "<path class=\"grid\" d=\"M{x:.1} {y:.1}L{to_x:.1} {to_y:.1}\"/>");
    }

    /// A curve of a series.
    pub(crate) fn curve(&mut self, points: &[(f64, f64)], series: usize) {
        let series = series % SERIES.len();
        let mut path = String::new();
        for (at, (x, y)) in points.iter().enumerate() {
            let step = if at == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{step}{x:.1} {:.1}", self.top + y);
        }
        let _ = writeln!(self.shapes, "<path class=\"l{series}\" d=\"{path}\"/>");
    }

    /// The whole file.
    pub(crate) fn finish(mut self, theme: Theme) -> String {
        self.down(8.0);
        let Self { width, top: height, shapes } = self;
        let style = match theme {
            Theme::Light => colours(false),
            Theme::Dark => colours(true),
            Theme::Auto => {
                format!("{}@media (prefers-color-scheme: dark) {{\n{}}}\n", colours(false), colours(true))
            }
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\" \
             font-size=\"13\">\n<style>\n{STYLE}{style}</style>\n\
             <rect class=\"paper\" width=\"{width:.0}\" height=\"{height:.0}\"/>\n{shapes}</svg>\n"
        )
    }
}

const STYLE: &str = "\
.title { font-size: 17px; font-weight: 600; }
.head { font-weight: 600; }
.muted { font-size: 12px; }
.grid { fill: none; stroke-width: 1; }
.whisker { fill: none; stroke-width: 1.4; }
";

fn colours(is_dark: bool) -> String {
    let mut text = String::new();
    for (class, property, light, dark) in COLOURS {
        let colour = if is_dark { dark } else { light };
        let _ = writeln!(text, "{class} {{ {property}: {colour}; }}");
    }
    for (at, (light, dark)) in SERIES.iter().enumerate() {
        let colour = if is_dark { dark } else { light };
        let _ = writeln!(
            text,
            ".s{at} {{ fill: {colour}; }}\n.l{at} {{ fill: none; stroke: {colour}; stroke-width: 2.2; stroke-linejoin: round; }}"
        );
    }
    text
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML has no place for them, not even escaped.
            letter if letter.is_control() => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A text of at most that many characters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_drawing() {
        let mut paper = Paper::new(100.0, 0.0);
        paper.text(0.0, 0.0, "name", Anchor::Start, "<script>\"a\" & b\u{1}");
        let drawn = paper.finish(Theme::Auto);
        assert!(drawn.contains(">&lt;script&gt;&quot;a&quot; &amp; b\u{fffd}</text>"), "{drawn}");
    }

    #[test]
    fn auto_has_both_colours_and_the_others_one() {
        let drawn = |theme| Paper::new(100.0, 0.0).finish(theme);
        let has = |text: &str| (text.contains("#ffffff"), text.contains("#14181f"), text.contains("@media"));
        assert_eq!(has(&drawn(Theme::Auto)), (true, true, true));
        assert_eq!(has(&drawn(Theme::Light)), (true, false, false));
        assert_eq!(has(&drawn(Theme::Dark)), (false, true, false));
    }

    #[test]
    fn long_names_are_shortened() {
        assert_eq!(shortened("mosquitto", 9), "mosquitto");
        assert_eq!(shortened("mosquitto", 5), "mosq…");
    }
}
