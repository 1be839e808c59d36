//! A source file with comments, literals and test modules blanked out: enough of a lexer to check rules on.

use std::fs;
use std::path::{Path, PathBuf};

/// One file, as the compiler would see it without tests.
pub(crate) struct Source {
    /// From the crate's root, as in `src/linux/sys/mod.rs`.
    pub(crate) name: String,
    /// Comments, literals and test modules are blank; the lines are where they were.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn room(&self) -> &str {
        let rest = self.name.strip_prefix("src/").unwrap_or(&self.name);
        rest.split('/')
            .next()
            .unwrap_or(rest)
            .trim_end_matches(".rs")
    }

    /// Every identifier, with the `!` of a macro call.
    pub(crate) fn words(&self) -> Vec<(usize, String)> {
        let mut words = Vec::new();
        for (index, line) in self.code.lines().enumerate() {
            let mut rest = line;
            while let Some(start) = rest.find(is_word) {
                let tail = &rest[start..];
                let end = tail.find(|c| !is_word(c)).unwrap_or(tail.len());
                let after = &tail[end..];
                let bang = after.starts_with('!') && !after.starts_with("!=");
                words.push((index + 1, tail[..end + usize::from(bang)].to_string()));
                rest = after;
            }
        }
        words
    }

    /// The first name after each path that leads to the crate's root, with its line: `crate::x`, `crate::{x, y}`, and as many
    /// `super::` as the file is deep.
    pub(crate) fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let depth = self.depth();
        let up = "super::".repeat(depth);
        for (at, _) in self.code.match_indices("crate::") {
            if !self.code[..at].ends_with(is_word) {
                self.heads(at + "crate::".len(), &mut found);
            }
        }
        for (at, _) in self.code.match_indices(&up) {
            if depth > 0 && !self.code[..at].ends_with("super::") {
                self.heads(at + up.len(), &mut found);
            }
        }
        found
    }

    /// How many `super::` lead from this file's module to the crate.
    fn depth(&self) -> usize {
        let path = self.name.trim_start_matches("src/").trim_end_matches(".rs");
        let path = path.trim_end_matches("/mod");
        if path == "lib" {
            0
        } else {
            path.split('/').count()
        }
    }

    /// The names that stand at `at`: one, or each of a group in braces.
    fn heads(&self, at: usize, found: &mut Vec<(usize, String)>) {
        let line = self.code[..at].matches('\n').count() + 1;
        let tail = &self.code[at..];
        let Some(group) = tail.strip_prefix('{') else {
            let end = tail.find(|c| !is_word(c)).unwrap_or(tail.len());
            found.push((line, tail[..end].to_string()));
            return;
        };
        let mut nesting = 1;
        let mut head = true;
        let mut word = String::new();
        for c in group.chars() {
            if head && is_word(c) {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                found.push((line, std::mem::take(&mut word)));
                head = false;
            }
            match c {
                '{' => nesting += 1,
                '}' => nesting -= 1,
                ',' if nesting == 1 => head = true,
                _ => {}
            }
            if nesting == 0 {
                return;
            }
        }
    }

    /// Every function with a body: its line, its name, how many lines it has.
    pub(crate) fn functions(&self) -> Vec<(usize, String, usize)> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            if self.code[..at].ends_with(is_word) {
                continue;
            }
            let tail = &self.code[at..];
            let name: String = tail[3..].chars().take_while(|c| is_word(*c)).collect();
            let Some(open) = tail.find(['{', ';']).filter(|_| !name.is_empty()) else {
                continue;
            };
            if tail[open..].starts_with('{') {
                let end = open + block(&tail[open..]);
                let line = self.code[..at].matches('\n').count() + 1;
                found.push((line, name, tail[..end].matches('\n').count() + 1));
            }
        }
        found
    }
}

pub(crate) fn root() -> PathBuf {
    // As cargo says it at run time: the binary may have been copied elsewhere.
    std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// Every `.rs` below a folder, less the files `tests.rs` that are a module's tests.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.retain(|path| !path.ends_with("tests.rs") || !path.starts_with(root().join("src")));
    paths.sort();
    let read = |path: &PathBuf| Source {
        name: path.strip_prefix(root()).unwrap().display().to_string(),
        code: without_tests(blank(&fs::read_to_string(path).unwrap())),
    };
    paths.iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|e| e == "rs") {
            paths.push(path);
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the block that `text` begins with, braces included.
fn block(text: &str) -> usize {
    let mut nesting = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => nesting += 1,
            '}' => nesting -= 1,
            _ => {}
        }
        if nesting == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// Blanks every `#[cfg(test)] mod … { … }`.
fn without_tests(mut code: String) -> String {
    while let Some(at) = code.find("#[cfg(test)]\nmod ") {
        let Some(open) = code[at..].find(['{', ';']) else {
            break;
        };
        let end = match code[at + open..].starts_with('{') {
            true => at + open + block(&code[at + open..]),
            false => at + open + 1,
        };
        let blanks: String = code[at..end].chars().filter(|c| *c == '\n').collect();
        code.replace_range(at..end, &blanks);
    }
    code
}

/// Blanks comments and the insides of literals, and keeps every line where it was.
fn blank(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after_word = out.ends_with(is_word);
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => literal(rest, '"'),
            '\'' => char_literal(rest),
            'r' | 'b' | 'c' if !after_word => raw_string(rest),
            _ => 0,
        };
        if length == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out.extend(
                rest[..length]
                    .chars()
                    .map(|c| if c == '\n' { '\n' } else { ' ' }),
            );
            rest = &rest[length..];
        }
    }
    out
}

fn block_comment(text: &str) -> usize {
    let mut nesting = 0;
    let mut at = 0;
    while at < text.len() {
        let tail = &text.as_bytes()[at..];
        if tail.starts_with(b"/*") {
            nesting += 1;
            at += 2;
        } else if tail.starts_with(b"*/") {
            nesting -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if nesting == 0 {
            return at;
        }
    }
    text.len()
}

/// From a quote to its partner, escapes skipped.
fn literal(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Zero for a lifetime.
fn char_literal(text: &str) -> usize {
    let mut chars = text.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => literal(text, '\''),
        (Some(c), Some('\'')) => c.len_utf8() + 2,
        _ => 0,
    }
}

/// `r"…"`, `br##"…"##`: zero for anything else.
fn raw_string(text: &str) -> usize {
    let start = text.trim_start_matches(['b', 'c']);
    let Some(hashes) = start
        .strip_prefix('r')
        .map(|t| t.len() - t.trim_start_matches('#').len())
    else {
        return 0;
    };
    let open = text.len() - start.len() + 1 + hashes;
    if !text[open..].starts_with('"') || open > hashes + 2 {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let body = &text[open + 1..];
    body.find(&close)
        .map_or(text.len(), |end| open + 1 + end + close.len())
}

mod checks_of_the_checker {
    use super::*;

    fn source(name: &str, text: &str) -> Source {
        Source {
            name: name.to_string(),
            code: without_tests(blank(text)),
        }
    }

    #[test]
    fn literals_and_comments_are_blank() {
        let code =
            blank("a /* b /* c */ d */ e // f\n\"g\\\"h\" 'i' '\\'' &'j k r#\"l\"m\"# br\"n\" o");
        let words = source("src/x.rs", &code).words();
        let words: Vec<&str> = words.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(words, ["a", "e", "j", "k", "o"]);
    }

    #[test]
    fn test_modules_are_blank() {
        let file = source(
            "src/x.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\n",
        );
        let names: Vec<String> = file.functions().into_iter().map(|f| f.1).collect();
        assert_eq!(names, ["a"]);
    }

    #[test]
    fn every_way_to_the_root_is_seen() {
        let text =
            "use crate::a::b;\nuse crate::{c, d::{e, f}, g};\nuse super::super::h;\nuse super::i;";
        let found = source("src/linux/x.rs", text).imports();
        let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["a", "c", "d", "g", "h"]);
    }

    #[test]
    fn a_function_is_as_long_as_its_text() {
        let found = source("src/x.rs", "fn a(\n  x: u8,\n) {\n  if x { }\n}\nfn b();").functions();
        assert_eq!(found, [(1, "a".to_string(), 5)]);
    }
}
