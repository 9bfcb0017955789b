//! Numbers as people read them, with their units.

use dunlin_bench::short;

/// A value with its unit; times and sizes in the unit that suits them.
pub(crate) fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "µs" => time(value * 1e3),
        "B" => format!("{}B", spaced(&short(value))),
        "%" => format!("{value:.0} %"),
        _ => format!("{} {unit}", short(value)),
    }
}

fn spaced(text: &str) -> String {
    let at = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(at);
    format!("{number} {suffix}")
}

/// A time, given in nanoseconds.
pub(crate) fn time(nanos: f64) -> String {
    match nanos {
        size if size >= 999.5e6 => format!("{} s", short(nanos / 1e9)),
        size if size >= 999.5e3 => format!("{} ms", short(nanos / 1e6)),
        size if size >= 999.5 => format!("{} µs", short(nanos / 1e3)),
        _ => format!("{nanos:.0} ns"),
    }
}

/// All digits, in groups of three.
pub(crate) fn exact(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many of something.
pub(crate) fn plural(count: u32, noun: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{} {noun}{end}", exact(count.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_keep_them_where_units_change() {
        let cases = [
            (0.0, "0"),
            (1.234, "1.23"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (99.96, "100"),
            (999.4, "999"),
            (999.6, "1.00k"),
            (456_700.0, "457k"),
            (999_600.0, "1.00M"),
            (1.5e9, "1.50G"),
        ];
        for (value, expected) in cases {
            assert_eq!(short(value), expected, "{value}");
        }
        assert_eq!(with_unit(1234.0, "µs"), "1.23 ms");
        assert_eq!(with_unit(2048.0, "B"), "2.05 kB");
        assert_eq!(with_unit(99.7, "%"), "100 %");
        assert_eq!((time(12.0), time(2.5e9)), ("12 ns".to_owned(), "2.50 s".to_owned()));
        assert_eq!(
            (exact(7), exact(1_234_567), plural(1, "x"), plural(2000, "x")),
            ("7".to_owned(), "1,234,567".to_owned(), "1 x".to_owned(), "2,000 xs".to_owned())
        );
    }
}
