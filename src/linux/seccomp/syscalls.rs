//! The table of system calls.

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) name: &'static str,
    /// On this architecture, if it has it.
    pub(super) number: Option<u32>,
    /// What RuntimeDefault makes of it.
    pub(super) allowed: &'static str,
}

/// All of them.
pub(super) fn table() -> impl Iterator<Item = Call> {
    let lines = include_str!("syscalls.txt").lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (name, x86_64, aarch64) = (words.next()?, words.next()?, words.next()?);
            let number = if cfg!(target_arch = "x86_64") {
                x86_64
            } else {
                aarch64
            };
            Some(Call {
                name,
                number: number.parse().ok(),
                allowed: words.next()?,
            })
        })
}

/// The call of this name. `None`: no architecture in the table has it.
pub(super) fn find(name: &str) -> Option<Call> {
    table().find(|call| call.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_c_librarys() {
        let number = |name| find(name).unwrap().number.map(i64::from);
        assert_eq!(number("read"), Some(libc::SYS_read));
        assert_eq!(number("clone3"), Some(libc::SYS_clone3));
        assert_eq!(number("mseal"), Some(libc::SYS_mseal));
        assert_eq!(number("openat2"), Some(libc::SYS_openat2));
        assert!(find("fcntl64").is_none());
    }

    #[test]
    fn no_number_and_no_name_comes_twice() {
        let mut names: Vec<_> = table().map(|call| call.name).collect();
        let mut numbers: Vec<_> = table().filter_map(|call| call.number).collect();
        let (calls, numbered) = (names.len(), numbers.len());
        names.sort_unstable();
        names.dedup();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!((names.len(), numbers.len()), (calls, numbered));
        assert!(calls > 370, "{calls}");
    }
}
