//! Host names, as far as they can be known without asking the network.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;

/// More of the file is not read.
const FILE_MAX: u64 = 1 << 20;

/// The address that this host's `/etc/hosts` gives a name, the first of IPv4 if there is one: `hosts(5)`.
pub(super) fn lookup(name: &str) -> Option<IpAddr> {
    let mut text = Vec::new();
    let file = File::open("/etc/hosts").ok()?;
    file.take(FILE_MAX).read_to_end(&mut text).ok()?;
    find(&String::from_utf8_lossy(&text), name)
}

fn find(text: &str, name: &str) -> Option<IpAddr> {
    let name = name.trim_end_matches('.');
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        let is_it = |word: &str| word.trim_end_matches('.').eq_ignore_ascii_case(name);
        words.any(is_it).then_some(address)
    });
    lines.min_by_key(IpAddr::is_ipv6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_of_a_name_is_found() {
        let text = "# names\n::1 localhost six\n127.0.0.1\tlocalhost lo # not this\n10.0.0.7 Web.Example. web\n\
                    10.0.0.8 web\nnonsense web\n";
        let found = |name| find(text, name).map(|address| address.to_string());
        for (name, address) in [
            ("localhost", Some("127.0.0.1")),
            ("six", Some("::1")),
            ("web.example", Some("10.0.0.7")),
            ("WEB", Some("10.0.0.7")),
            ("web.", Some("10.0.0.7")),
            ("this", None),
            ("#", None),
            ("", None),
        ] {
            assert_eq!(found(name).as_deref(), address, "{name}");
        }
    }
}
