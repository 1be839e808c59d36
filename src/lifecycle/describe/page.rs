//! Text in columns that are as wide as they need to be.

use std::fmt::{self, Write};

/// Columns stand so far apart.
const PADDING: usize = 2;

/// Lines with tabs between their cells, as kubectl gives them to Go's `text/tabwriter`.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// A line, `level` steps in.
    pub(super) fn line(&mut self, level: usize, text: impl fmt::Display) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "{:indent$}{text}", "", indent = level * 2);
    }

    /// A title, and beside it lines below one another; `<none>` if there are none.
    pub(super) fn list(&mut self, title: &str, lines: impl IntoIterator<Item = String>) {
        let mut lines = lines.into_iter();
        let first = lines.next().unwrap_or_else(|| "<none>".to_owned());
        self.line(0, format_args!("{title}:\t{first}"));
        lines.for_each(|line| self.line(0, format_args!("\t{line}")));
    }

    /// Everything, with spaces for tabs. What a terminal would obey is made visible.
    pub(super) fn aligned(&self) -> String {
        let text = self.0.replace('\x1b', "^[").replace('\r', "\\r");
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split('\t').collect())
            .collect();
        let widths = widths(&lines);
        let mut aligned = String::with_capacity(text.len());
        for (cells, widths) in lines.iter().zip(&widths) {
            for (cell, width) in cells.iter().zip(widths) {
                let _ = write!(aligned, "{cell:width$}");
            }
            aligned.push_str(cells.last().unwrap_or(&""));
            aligned.push('\n');
        }
        aligned
    }
}

/// How wide each cell is that another follows: as the widest of its column, in lines that stand together and all have it.
fn widths(lines: &[Vec<&str>]) -> Vec<Vec<usize>> {
    let followed = |line: &Vec<&str>| line.len().saturating_sub(1);
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|line| vec![0; followed(line)]).collect();
    for column in 0..lines.iter().map(followed).max().unwrap_or(0) {
        let mut at = 0;
        while at < lines.len() {
            let together = lines[at..]
                .iter()
                .take_while(|line| followed(line) > column);
            let (count, widest) = together.fold((0, 0), |(count, widest), line| {
                (count + 1, line[column].chars().count().max(widest))
            });
            for line in &mut widths[at..at + count] {
                line[column] = widest + PADDING;
            }
            at += count.max(1);
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_ends_with_the_first_line_that_does_not_have_it() {
        let mut page = Page::default();
        page.line(0, "a:\tb");
        page.line(0, "long:\tb");
        page.line(0, "title:");
        page.line(1, "x\t\tz");
        page.line(1, "é\tyy\t");
        page.list("None", []);
        let wanted = "a:     b\nlong:  b\ntitle:\n  x        z\n  é    yy  \nNone:  <none>\n";
        assert_eq!(page.aligned(), wanted);
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let mut page = Page::default();
        page.line(0, "a\x1b[2Jb\rc");
        assert_eq!(page.aligned(), "a^[[2Jb\\rc\n");
    }
}
