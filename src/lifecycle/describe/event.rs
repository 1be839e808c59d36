//! What happened, in a table.

use std::fmt;

use super::page::Page;
use crate::lifecycle::rules::column::age;
use crate::time::Wall;

/// One row of the table of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// TYPE.
    pub type_: &'static str,
    /// REASON.
    pub reason: &'static str,
    /// When it happened first.
    pub first: Wall,
    /// When it happened last.
    pub last: Wall,
    /// How often it happened.
    pub count: u32,
    /// MESSAGE.
    pub message: String,
}

/// Who tells of events.
const FROM: &str = "podlife";

pub(super) fn table(f: &mut fmt::Formatter<'_>, rows: &[EventRow], now: Wall) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let mut page = Page::default();
    page.line(0, "Events:\n  Type\tReason\tAge\tFrom\tMessage");
    page.line(1, "----\t------\t----\t----\t-------");
    for row in rows {
        let ages = [row.last, row.first].map(|at| age(Some(at), now));
        let when = match (row.count, ages) {
            (0 | 1, [last, _]) => last,
            (count, [last, first]) => format!("{last} (x{count} over {first})"),
        };
        let (type_, reason, message) = (row.type_, row.reason, row.message.trim());
        page.line(
            1,
            format_args!("{type_}\t{reason}\t{when}\t{FROM}\t{message}"),
        );
    }
    f.write_str(&page.aligned())
}
