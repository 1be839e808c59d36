//! Where the last lines of a file begin.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const BLOCK: u64 = 16 << 10;

/// Where the last `lines` complete lines of the file begin. An unfinished last line is not counted, and stands behind them.
pub(crate) fn offset(file: &File, lines: u64) -> io::Result<u64> {
    let mut block = [0; BLOCK as usize];
    let mut end = file.metadata()?.len();
    let mut newlines = 0;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let block = &mut block[..(end - start) as usize];
        file.read_exact_at(block, start)?;
        for (at, _) in block
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
        {
            // The newline before the first wanted line: one more than there are lines.
            if newlines == lines {
                return Ok(start + at as u64 + 1);
            }
            newlines += 1;
        }
        end = start;
    }
    Ok(0)
}
