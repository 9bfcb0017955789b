//! The items of a Rust file: what each is called, which lines it has, whether it is test code.
//!
//! In:    the text of a Rust file that compiles.
//! Out:   its items, outer before inner, and the innermost item of any line.
//! Never: expansion of macros; what stands in a macro's braces is read as if it were plain code.

use crate::lex::{self, Lexed};

/// What kind of item it is, as far as a check cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Function,
    /// struct, enum, trait or macro
    Type,
    /// const, static or type alias
    Value,
    Module,
    /// an impl block, named by the type that it is for
    Impl,
}

/// One item. Lines count from 1.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// The first line of the comment or attributes that belong to it.
    pub(crate) lead: usize,
    /// The line of its keyword.
    pub(crate) line: usize,
    pub(crate) end: usize,
    /// It carries a test attribute or `cfg(test)` itself.
    pub(crate) marked_test: bool,
    parent: Option<usize>,
}

/// The items of one file.
pub(crate) struct Outline {
    items: Vec<Item>,
    whole_file_is_test: bool,
}

struct Token<'a> {
    line: usize,
    text: &'a str,
}

#[derive(Default)]
struct Attributes {
    first_line: Option<usize>,
    test: bool,
}

/// An item whose body or semicolon is still to come.
struct Pending {
    item: usize,
    /// Brackets opened since its keyword.
    depth: usize,
    /// The tokens of an impl's head begin here.
    head: usize,
}

struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    items: Vec<Item>,
    braces: Vec<Option<usize>>,
    pending: Option<Pending>,
    attributes: Attributes,
    whole_file_is_test: bool,
}

impl Outline {
    /// Reads `text`, of which `lexed` is what the lexer made.
    pub(crate) fn new(text: &str, lexed: &Lexed) -> Self {
        let mut reader = Reader {
            tokens: tokens(&lexed.code),
            items: Vec::new(),
            braces: Vec::new(),
            pending: None,
            attributes: Attributes::default(),
            whole_file_is_test: false,
        };
        reader.read();
        let lines: Vec<&str> = text.lines().collect();
        let mut items = reader.items;
        for item in &mut items {
            item.lead = lead(&lines, item.lead);
        }
        Self { items, whole_file_is_test: reader.whole_file_is_test }
    }

    /// Every function with its number.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (usize, &Item)> {
        self.items.iter().enumerate().filter(|(_, item)| item.kind == Kind::Function)
    }

    /// The innermost item that `line` belongs to, its comment and attributes included.
    pub(crate) fn enclosing(&self, line: usize) -> Option<usize> {
        let holds = |item: &Item| item.lead <= line && line <= item.end;
        let inside = self.items.iter().enumerate().filter(|(_, item)| holds(item));
        inside.max_by_key(|(at, item)| (item.lead, *at)).map(|(at, _)| at)
    }

    /// Whether `item`, or something around it, is test code.
    pub(crate) fn is_test(&self, item: usize) -> bool {
        self.whole_file_is_test || self.chain(item).any(|at| self.items[at].marked_test)
    }

    /// The function that a test around `item` is known by: the marked one, else the innermost.
    pub(crate) fn test_function(&self, item: usize) -> Option<usize> {
        let functions: Vec<usize> =
            self.chain(item).filter(|&at| self.items[at].kind == Kind::Function).collect();
        let marked = functions.iter().find(|&&at| self.items[at].marked_test);
        marked.or(functions.first()).copied()
    }

    /// The name with those of the items around it, modules left out: `TopicFilter::parse`.
    pub(crate) fn label(&self, item: usize) -> String {
        let mut names: Vec<&str> = self
            .chain(item)
            .filter(|&at| at == item || self.items[at].kind != Kind::Module)
            .map(|at| self.items[at].name.as_str())
            .collect();
        names.reverse();
        names.join("::")
    }

    /// `item` and everything around it, innermost first.
    fn chain(&self, item: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(item), |&at| self.items[at].parent)
    }
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            if self.text(at) == "#" {
                at = self.attribute(at);
                continue;
            }
            if self.pending.is_some() {
                self.within_head(at);
            } else {
                self.outside_head(at);
            }
            at += 1;
        }
        let last = self.tokens.last().map_or(1, |token| token.line);
        for item in self.items.iter_mut().filter(|item| item.end == 0) {
            item.end = last;
        }
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    /// Reads `#[...]` or `#![...]` and returns where it ends; a lone `#` is passed over.
    fn attribute(&mut self, start: usize) -> usize {
        let inner = self.text(start + 1) == "!";
        let open = start + 1 + usize::from(inner);
        if self.text(open) != "[" {
            return start + 1;
        }
        let mut depth = 0_usize;
        let mut at = open;
        while at < self.tokens.len() {
            match self.text(at) {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 {
                break;
            }
        }
        let test = is_test_attribute(&self.tokens[open + 1..at - 1]);
        if inner {
            self.whole_file_is_test |= test && self.braces.is_empty();
        } else if self.pending.is_none() {
            self.attributes.first_line.get_or_insert(self.tokens[start].line);
            self.attributes.test |= test;
        }
        at
    }

    fn within_head(&mut self, at: usize) {
        let line = self.tokens[at].line;
        let text = self.tokens[at].text;
        let Some(pending) = &mut self.pending else { return };
        let item = pending.item;
        match text {
            "{" if pending.depth == 0 && self.items[item].kind != Kind::Value => {
                if self.items[item].kind == Kind::Impl {
                    self.items[item].name = impl_name(&self.tokens[pending.head..at]);
                }
                self.pending = None;
                self.braces.push(Some(item));
            }
            "(" | "[" | "{" => pending.depth += 1,
            ")" | "]" | "}" => pending.depth = pending.depth.saturating_sub(1),
            ";" if pending.depth == 0 => {
                self.items[item].end = line;
                self.pending = None;
            }
            _ => {}
        }
    }

    fn outside_head(&mut self, at: usize) {
        let line = self.tokens[at].line;
        match self.text(at) {
            "{" => self.braces.push(None),
            "}" => {
                if let Some(Some(item)) = self.braces.pop() {
                    self.items[item].end = line;
                }
            }
            ";" => {}
            _ => {
                if let Some((kind, name)) = self.begins_item(at) {
                    let name = name.to_owned();
                    self.begin(at, kind, name);
                }
                return;
            }
        }
        self.attributes = Attributes::default();
    }

    /// The kind and the name of the item whose keyword stands at `at`.
    fn begins_item(&self, at: usize) -> Option<(Kind, &str)> {
        let previous = if at == 0 { "" } else { self.text(at - 1) };
        let next = self.text(at + 1);
        let named = next.starts_with(lex::is_word);
        match self.text(at) {
            "fn" if named => Some((Kind::Function, next)),
            "struct" | "enum" | "trait" if named => Some((Kind::Type, next)),
            "macro_rules" if next == "!" => Some((Kind::Type, self.text(at + 2))),
            "mod" if named => Some((Kind::Module, next)),
            "impl" if matches!(previous, "" | "{" | "}" | ";" | "]" | "unsafe") => Some((Kind::Impl, "")),
            "static" if next == "mut" => Some((Kind::Value, self.text(at + 2))),
            "const" if matches!(next, "fn" | "unsafe" | "async" | "extern") || previous == "*" => None,
            "const" | "static" | "type" if named => Some((Kind::Value, next)),
            _ => None,
        }
    }

    fn begin(&mut self, at: usize, kind: Kind, name: String) {
        let line = self.tokens[at].line;
        let attributes = std::mem::take(&mut self.attributes);
        let parent = self.braces.iter().rev().find_map(|brace| *brace);
        self.pending = Some(Pending { item: self.items.len(), depth: 0, head: at + 1 });
        let lead = attributes.first_line.unwrap_or(line);
        let marked_test = attributes.test;
        self.items.push(Item { kind, name, lead, line, end: 0, marked_test, parent });
    }
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (number, text) in code.lines().enumerate() {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let word = rest.find(|c| !lex::is_word(c)).unwrap_or(rest.len());
            let (token, after) = rest.split_at(if word > 0 { word } else { c.len_utf8() });
            if !c.is_whitespace() {
                found.push(Token { line: number + 1, text: token });
            }
            rest = after;
        }
    }
    found
}

/// `test`, `tokio::test` and the like, or a `cfg` that wants `test`.
fn is_test_attribute(tokens: &[Token<'_>]) -> bool {
    let words = || tokens.iter().map(|token| token.text);
    if words().next() == Some("cfg") {
        return words().any(|word| word == "test") && !words().any(|word| word == "not");
    }
    words().take_while(|word| *word != "(").last() == Some("test")
}

/// The type that an impl block is for, from the tokens between `impl` and its brace.
fn impl_name(head: &[Token<'_>]) -> String {
    let mut depth = 0_usize;
    let mut name = "";
    for (at, token) in head.iter().enumerate() {
        let previous = if at == 0 { "" } else { head[at - 1].text };
        match token.text {
            "<" => depth += 1,
            ">" if previous != "-" => depth = depth.saturating_sub(1),
            "where" if depth == 0 => break,
            word if depth == 0 && previous != "'" && word.starts_with(lex::is_word) => name = word,
            _ => {}
        }
    }
    name.to_owned()
}

/// Climbs from `line` over the comments and attributes above it.
fn lead(lines: &[&str], line: usize) -> usize {
    let belongs = |text: &str| {
        let text = text.trim_start();
        text.starts_with("#[") || text.starts_with("//") && !text.starts_with("//!")
    };
    let mut first = line;
    while first > 1 && lines.get(first - 2).is_some_and(|text| belongs(text)) {
        first -= 1;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> Outline {
        Outline::new(text, &lex::lex(text))
    }

    fn label_at(text: &str, mark: &str) -> Option<String> {
        let line = text.lines().position(|line| line.contains(mark)).unwrap() + 1;
        let outline = outline(text);
        outline.enclosing(line).map(|item| outline.label(item))
    }

    const FILE: &str = "\
//! header
use std::fmt;

/// on-enum
#[derive(Debug)]
pub enum Error {
    /// on-variant
    Empty,
}

impl<'a, F: Fn() -> u8> fmt::Display for crate::Filter<'a, F> where F: Copy {
    /// on-method
    pub fn parse<const N: usize>(text: [u8; { N }]) -> impl Sized {
        let a: fn(u8) = g; // in-method
        text
    }
}

const TABLE: &[Row] = &[
    Row { id: 1 }, // in-table
];

fn after() {}

#[cfg(test)]
mod tests {
    // in-module

    fn helper() {} // in-helper

    #[test]
    fn a_rule_holds() {
        fn inner() {} // in-inner
    }
}
";

    #[test]
    fn a_line_belongs_to_the_innermost_item_around_it() {
        let at = |mark| label_at(FILE, mark);

        assert_eq!(at("header"), None);
        assert_eq!(at("on-enum").as_deref(), Some("Error"));
        assert_eq!(at("on-variant").as_deref(), Some("Error"));
        assert_eq!(at("on-method").as_deref(), Some("Filter::parse"));
        assert_eq!(at("in-method").as_deref(), Some("Filter::parse"));
        assert_eq!(at("in-table").as_deref(), Some("TABLE"));
        assert_eq!(at("fn after").as_deref(), Some("after"));
        assert_eq!(at("in-module").as_deref(), Some("tests"));
        assert_eq!(at("in-inner").as_deref(), Some("a_rule_holds::inner"));
    }

    #[test]
    fn test_code_is_what_a_test_attribute_covers() {
        let outline = outline(FILE);
        let test_at = |mark| {
            let line = FILE.lines().position(|line| line.contains(mark)).unwrap() + 1;
            outline.is_test(outline.enclosing(line).unwrap())
        };

        assert!(test_at("in-helper"));
        assert!(test_at("in-inner"));
        assert!(!test_at("in-method"));
        assert!(!test_at("fn after"));
    }

    #[test]
    fn a_test_is_known_by_its_marked_function() {
        let outline = outline(FILE);
        let line = FILE.lines().position(|line| line.contains("in-inner")).unwrap() + 1;

        let test = outline.test_function(outline.enclosing(line).unwrap()).unwrap();

        assert_eq!(outline.label(test), "a_rule_holds");
    }

    #[test]
    fn cfg_not_test_is_no_test() {
        for (attribute, test) in
            [("cfg(test)", true), ("cfg(all(unix, test))", true), ("tokio::test(x = 1)", true)]
                .into_iter()
                .chain([("cfg(not(test))", false), ("cfg(unix)", false), ("allow(x, test)", false)])
        {
            let outline = outline(&format!("#[{attribute}]\nfn f() {{}}\n"));
            assert_eq!(outline.is_test(0), test, "{attribute}");
        }
    }

    #[test]
    fn an_inner_cfg_test_makes_the_whole_file_test_code() {
        assert!(outline("#![cfg(test)]\nfn f() {}\n").is_test(0));
        assert!(!outline("#![warn(missing_docs)]\nfn f() {}\n").is_test(0));
    }

    #[test]
    fn a_function_runs_from_its_keyword_to_its_brace() {
        let outline = outline("/// doc\nfn f(\n) {\n    g();\n}\ntrait T {\n    fn h();\n}\n");

        let lengths: Vec<_> = outline.functions().map(|(_, item)| (item.line, item.end)).collect();

        assert_eq!(lengths, [(2, 5), (7, 7)]);
    }
}
