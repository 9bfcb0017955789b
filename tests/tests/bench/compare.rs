//! Several brokers in turn: rounds, medians, ratios, the drawing.

use dunlin_tests::Broker;

use crate::{bench, count, measured};

#[test]
fn brokers_are_measured_in_turn_and_compared() {
    let (one, other) = (Broker::start(&[]), Broker::start(&["--shards", "2"]));
    let vs = format!("--vs other=127.0.0.1:{}", other.address().port());
    let (code, value) = measured(one.address(), &format!("pairs --publishers 4 -q 1 -n 300 --name one {vs}"));
    assert_eq!(code, 0);
    for (which, (name, id)) in [("one", one.id()), ("other", other.id())].into_iter().enumerate() {
        let broker = &value["brokers"][which];
        assert_eq!(broker["name"], name);
        let rounds = broker["rounds"].as_array().unwrap();
        assert_eq!(rounds.len(), 3, "three rounds, as nothing else was said");
        assert!(rounds.iter().all(|round| count(round, "/broker/pid") == u64::from(id)));
        let figures = broker["figures"].as_array().unwrap();
        let figure = figures.iter().find(|figure| figure["key"] == "delivered_per_second").unwrap();
        let number = |key: &str| figure[key].as_f64().unwrap();
        assert!(number("least") <= number("median") && number("median") <= number("most"));
        let base = value["brokers"][0]["figures"][0]["median"].as_f64().unwrap();
        assert!((number("ratio") - number("median") / base).abs() < 1e-9);
    }
}

#[test]
fn the_drawing_names_everybody_and_is_well_formed() {
    let (one, other) = (Broker::start(&[]), Broker::start(&[]));
    let path = std::env::temp_dir().join(format!("dunlin-bench-{}.svg", std::process::id()));
    for theme in ["auto", "light", "dark"] {
        let arguments = format!(
            "fan-in --publishers 2 -n 2000 --rounds 2 --name a<b --vs c&d=127.0.0.1:{} --svg {} --theme {theme}",
            other.address().port(),
            path.display()
        );
        let output = bench(one.address(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let drawn = std::fs::read_to_string(&path).unwrap();
        assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"));
        assert!(drawn.contains(">a&lt;b</text>") && drawn.contains(">c&amp;d</text>"), "names are escaped");
        assert!(drawn.contains(">delivered</text>") && drawn.contains("latency by share"));
        assert_eq!(drawn.matches("class=\"l0\"").count(), 2, "a curve, and its place in the legend");
        assert_eq!(drawn.contains("prefers-color-scheme"), theme == "auto");
        assert_eq!(drawn.matches("<text").count(), drawn.matches("</text>").count());
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "no place is beyond the drawing");
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_table_has_a_column_for_each() {
    let (one, other) = (Broker::start(&[]), Broker::start(&[]));
    let arguments =
        format!("fan-out --subscribers 3 -n 200 --name one --vs other=127.0.0.1:{}", other.address().port());
    let output = bench(one.address(), &arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("3 rounds of "), "{text}");
    let heads: Vec<_> = text.lines().filter(|line| line.split_whitespace().eq(["one", "other"])).collect();
    assert_eq!(heads.len(), 1, "{text}");
    let row = |label: &str| text.lines().find_map(|line| line.strip_prefix(label)).unwrap().trim().to_owned();
    assert_eq!(row("copies due").split_whitespace().collect::<Vec<_>>(), ["1,800", "1,800"]);
    assert_eq!(row("lost").split_whitespace().collect::<Vec<_>>(), ["0", "0"]);
}
