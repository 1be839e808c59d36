//! The table of system calls.

use super::Architecture;

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Call {
    pub(super) name: &'static str,
    /// On x86_64, i386 and aarch64, or "-".
    numbers: [&'static str; 3],
    /// What RuntimeDefault makes of it.
    pub(super) allowed: &'static str,
}

impl Call {
    /// On this architecture, if it has it.
    pub(super) fn number(&self, architecture: Architecture) -> Option<u32> {
        let [x86_64, i386, aarch64] = self.numbers;
        let number = match architecture {
            Architecture::X86_64 => x86_64,
            Architecture::I386 => i386,
            Architecture::Aarch64 => aarch64,
        };
        number.parse().ok()
    }
}

/// All of them.
pub(super) fn table() -> impl Iterator<Item = Call> {
    let lines = include_str!("syscalls.txt").lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some(Call {
                name: words.next()?,
                numbers: [words.next()?, words.next()?, words.next()?],
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
        let number = |name| {
            find(name)
                .unwrap()
                .number(Architecture::NATIVE)
                .map(i64::from)
        };
        assert_eq!(number("read"), Some(libc::SYS_read));
        assert_eq!(number("clone3"), Some(libc::SYS_clone3));
        assert_eq!(number("mseal"), Some(libc::SYS_mseal));
        assert_eq!(number("openat2"), Some(libc::SYS_openat2));
        assert_eq!(number("mmap2"), None);
        assert!(find("arm_fadvise64_64").is_none());
    }

    #[test]
    fn no_number_and_no_name_comes_twice() {
        let all = |mut words: Vec<String>| {
            let count = words.len();
            words.sort_unstable();
            words.dedup();
            assert_eq!(words.len(), count);
            count
        };
        let names = all(table().map(|call| call.name.to_owned()).collect());
        assert!(names > 460, "{names}");
        for (architecture, least) in Architecture::ALL.into_iter().zip([370, 450, 320]) {
            let numbers = table().filter_map(|call| call.number(architecture));
            let numbers = all(numbers.map(|number| number.to_string()).collect());
            assert!(numbers > least, "{architecture:?}: {numbers}");
        }
    }

    /// The kernel's own list for this architecture, if its headers are installed.
    fn header(architecture: Architecture) -> Option<Vec<(String, u32)>> {
        let file = match architecture {
            Architecture::X86_64 => "asm/unistd_64.h",
            Architecture::I386 => "asm/unistd_32.h",
            Architecture::Aarch64 => return None,
        };
        let places = ["/usr/include/x86_64-linux-gnu", "/usr/include"];
        let texts = places.map(|place| std::fs::read_to_string(format!("{place}/{file}")));
        let text = texts.into_iter().find_map(Result::ok)?;
        let lines = text.lines().filter_map(|line| {
            let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
            Some((name.to_owned(), number.trim().parse().ok()?))
        });
        Some(lines.collect())
    }

    #[test]
    fn the_numbers_are_the_kernels() {
        for architecture in [Architecture::X86_64, Architecture::I386] {
            let Some(header) = header(architecture) else {
                println!(
                    "skipped: the numbers of {architecture:?}: the kernel's headers (asm/unistd_*.h) are not installed"
                );
                continue;
            };
            assert!(header.len() > 300, "{architecture:?}: {}", header.len());
            let newest = table().filter_map(|call| call.number(architecture)).max();
            for (name, number) in header {
                let found = find(&name).and_then(|call| call.number(architecture));
                let known = Some(number) <= newest;
                assert_eq!(found, known.then_some(number), "{architecture:?}: {name}");
            }
        }
    }

    /// What came since Linux 5.1 has one number everywhere.
    #[test]
    fn newer_calls_have_one_number() {
        for call in table() {
            let [x86_64, i386, aarch64] =
                Architecture::ALL.map(|architecture| call.number(architecture));
            if i386.is_some_and(|number| number >= 424) {
                assert_eq!(i386, x86_64, "{call:?}");
                assert!(
                    aarch64.is_none_or(|aarch64| Some(aarch64) == i386),
                    "{call:?}"
                );
            }
        }
    }
}
