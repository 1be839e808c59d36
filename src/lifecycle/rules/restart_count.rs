//! A container's restart count, when nothing is left of it but its log files.

/// One more than the highest number among log files, which are named `<number>.log`, `<number>.log.<when rotated>`; 0 when
/// there is none. Other names, and numbers beyond all bounds, do not count.
///
/// ```
/// use podlife::lifecycle::rules::restart_count::restart_count_from_logs;
///
/// assert_eq!(restart_count_from_logs(["0.log", "1.log.20260102-120000", "note.txt"]), 2);
/// assert_eq!(restart_count_from_logs([]), 0);
/// ```
pub fn restart_count_from_logs<'a>(names: impl IntoIterator<Item = &'a str>) -> u32 {
    let numbers = names.into_iter().filter_map(number);
    numbers.max().map_or(0, |highest| highest.saturating_add(1))
}

fn number(name: &str) -> Option<u32> {
    let (digits, _) = name.split_once(".log")?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}
