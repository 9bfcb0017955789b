//! Rust source with its comments or its literals blanked, so that braces and words can be trusted.
//!
//! In:    the text of a Rust file, well-formed or not.
//! Out:   texts of the same lines, where what was left out has become spaces.
//! Never: a parse; what a token means is for others to say.

/// A Rust file taken apart by kind of text. All three have the lines of the original.
pub(crate) struct Lexed {
    /// Code alone: comments and the insides of literals are spaces.
    pub(crate) code: String,
    /// Comments alone.
    pub(crate) comments: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Takes `text` apart.
pub(crate) fn lex(text: &str) -> Lexed {
    let chars: Vec<char> = text.chars().collect();
    let mut lexed =
        Lexed { code: String::with_capacity(text.len()), comments: String::with_capacity(text.len()) };
    let mut at = 0;
    while at < chars.len() {
        let (kind, length) = token(&chars, at);
        for &c in &chars[at..at + length] {
            let keep = |wanted| if c == '\n' || kind == wanted { c } else { ' ' };
            lexed.code.push(keep(Kind::Code));
            lexed.comments.push(keep(Kind::Comment));
        }
        at += length;
    }
    lexed
}

/// The kind and the length of what begins at `at`; the length is at least 1 and stays within `chars`.
fn token(chars: &[char], at: usize) -> (Kind, usize) {
    let rest = &chars[at..];
    let after_word = at > 0 && is_word(chars[at - 1]);
    match rest {
        ['/', '/', ..] => (Kind::Comment, rest.iter().position(|&c| c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => (Kind::Comment, block_comment(rest)),
        ['"', ..] => (Kind::Literal, quoted(rest, '"')),
        ['\'', ..] => match char_literal(rest) {
            Some(length) => (Kind::Literal, length),
            None => (Kind::Code, 1),
        },
        ['r', '"' | '#', ..] | ['b' | 'c', 'r', '"' | '#', ..] if !after_word => match raw_string(rest) {
            Some(length) => (Kind::Literal, length),
            None => (Kind::Code, 1),
        },
        _ => (Kind::Code, 1),
    }
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => {
                depth += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a literal that begins with `quote` and ends at the next one that is not escaped.
fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a character literal, or nothing where the quote begins a lifetime or a label.
fn char_literal(rest: &[char]) -> Option<usize> {
    match rest {
        ['\'', '\\', ..] => Some(quoted(rest, '\'')),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    }
}

/// The length of a raw string, or nothing where `r#` begins a raw identifier.
fn raw_string(rest: &[char]) -> Option<usize> {
    let prefix = rest.iter().position(|&c| c == 'r')? + 1;
    let hashes = rest[prefix..].iter().take_while(|&&c| c == '#').count();
    let body = prefix + hashes + 1;
    if rest.get(body - 1) != Some(&'"') {
        return None;
    }
    let closes = |at: usize| {
        rest[at] == '"' && rest[at + 1..].iter().take_while(|&&c| c == '#').take(hashes).count() == hashes
    };
    let end = (body..rest.len()).find(|&at| closes(at)).map_or(rest.len(), |at| at + 1 + hashes);
    Some(end)
}

/// Whether `c` can be part of an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        lex(text).code
    }

    #[test]
    fn comments_are_kept_apart_from_code() {
        let lexed = lex("let a = 1; // one {\n/* two /* nested */ still */ let b;");

        assert_eq!(lexed.code, "let a = 1;         \n                             let b;");
        assert_eq!(lexed.comments, "           // one {\n/* two /* nested */ still */       ");
    }

    #[test]
    fn the_insides_of_literals_are_blank() {
        assert_eq!(code(r#"f("a { \" b", 'x')"#), "f(          ,    )");
        assert_eq!(code(r##"f(r#"a " b"#);"##), "f(          );");
        assert_eq!(code("f(b'{', '\\'')"), "f(b   ,     )");
    }

    #[test]
    fn lifetimes_and_raw_identifiers_are_code() {
        assert_eq!(code("fn f<'a>(x: &'a str)"), "fn f<'a>(x: &'a str)");
        assert_eq!(code("let r#type = 1;"), "let r#type = 1;");
        assert_eq!(code("bar\"x\""), "bar   ");
    }

    #[test]
    fn unfinished_text_ends_with_the_file() {
        for text in ["\"abc", "/* abc", "r#\"abc", "'\\", "b"] {
            assert_eq!(code(text).chars().count(), text.chars().count(), "{text}");
        }
    }
}
