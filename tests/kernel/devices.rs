//! Rules for devices, asked by the kernel: what processes in a cgroup can open and make.

use std::io::Read;
use std::path::{Path, PathBuf};

use podlife::Kind;
use podlife::cgroup::{
    Cgroup, Device, DeviceAccess, DeviceKind, DeviceProgram, DeviceRule, DeviceRules, Verdict,
};

use crate::nobody;
use crate::scratch::{Scratch, run_in};

/// Device files that are there for a test: the letter of their kind, and their numbers. There need not be such devices.
const NODES: [(DeviceKind, char, u32, u32); 5] = [
    (DeviceKind::Char, 'c', 1, 3),
    (DeviceKind::Char, 'c', 1, 5),
    (DeviceKind::Char, 'c', 5, 0),
    (DeviceKind::Block, 'b', 240, 3),
    (DeviceKind::Block, 'b', 241, 7),
];

/// Each use, and what of the shell does it.
const USES: [(&str, &str); 4] = [
    ("r", "true <$node"),
    ("w", "true >>$node"),
    ("rw", "true <>$node"),
    ("m", "mknod $node.made $kind $major $minor && rm $node.made"),
];

/// A directory of device files, removed with the value.
struct Nodes(PathBuf);

impl Nodes {
    fn new(test: &str) -> Nodes {
        let name = format!("podlife-devices-{test}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).unwrap();
        for (_, kind, major, minor) in NODES {
            let path = directory.join(format!("{kind}.{major}.{minor}"));
            let (major, minor) = (major.to_string(), minor.to_string());
            let mut mknod = std::process::Command::new("mknod");
            let made = mknod.arg(path).args([&kind.to_string(), &major, &minor]);
            assert!(made.status().unwrap().success());
        }
        Nodes(directory)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// What processes in `group` are denied: a line like `c.1.3 rw` each.
fn denied(group: &Cgroup, nodes: &Path) -> String {
    let uses = USES.map(|(name, command)| {
        format!("case $( ({command}) 2>&1) in *'not permitted'*) echo $1.$2.$3 {name};; esac\n")
    });
    let list = NODES.map(|(_, kind, major, minor)| format!("\ntry {kind} {major} {minor}"));
    let script = format!(
        "try() {{\nkind=$1 major=$2 minor=$3 node={}/$1.$2.$3\n{}}}{}",
        nodes.display(),
        uses.concat(),
        list.concat()
    );
    let mut child = run_in(group, &script);
    let mut text = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    text
}

fn expected(rules: &[&DeviceRules]) -> String {
    let mut text = String::new();
    for (kind, letter, major, minor) in NODES {
        for (name, _) in USES {
            let access: DeviceAccess = name.parse().unwrap();
            let mut all = rules.iter();
            if !all.all(|rules| rules.allow(kind, Device { major, minor }, access)) {
                text.push_str(&format!("{letter}.{major}.{minor} {name}\n"));
            }
        }
    }
    text
}

/// `None`, with a line that says why, where no program can be loaded.
fn loaded(test: &str, rules: &DeviceRules) -> Option<DeviceProgram> {
    match rules.load() {
        Ok(program) => Some(program),
        Err(why) if why.kind() == Kind::Permission && !nobody::is_root() => {
            println!("skipped: {test}: {why}");
            None
        }
        Err(why) => panic!("{why}"),
    }
}

fn rule(text: &str) -> DeviceRule {
    let words: Vec<_> = text.split([' ', ':']).collect();
    let number = |word: &str| (word != "*").then(|| word.parse().unwrap());
    DeviceRule {
        verdict: match words[0] {
            "allow" => Verdict::Allow,
            _ => Verdict::Deny,
        },
        kind: match words[1] {
            "c" => Some(DeviceKind::Char),
            "b" => Some(DeviceKind::Block),
            _ => None,
        },
        major: number(words[2]),
        minor: number(words[3]),
        access: words[4].parse().unwrap(),
    }
}

/// Later rules override earlier ones, for each access by itself; a number may be any, and a kind.
#[test]
fn the_last_rule_about_an_access_decides() {
    let lists = [
        "",
        "allow a *:* rwm",
        "deny a *:* rwm",
        "allow a *:* rwm, deny c 1:3 rwm",
        "deny c 1:3 rwm, allow a *:* rwm",
        "allow c 1:* rw, deny c 1:5 w",
        "allow c 1:3 r, allow c 1:3 w",
        "allow a *:3 rwm, deny b *:* m",
        "allow b 241:* rm, allow c 5:0 rwm, deny a *:* r",
        "allow c *:* m, deny a 1:* m, allow b 240:3 rwm, deny b 240:3 w",
    ];
    let all = lists.iter().map(|list| {
        let rules = list.split(", ").filter(|rule| !rule.is_empty()).map(rule);
        let rules = DeviceRules::new(rules);
        assert_eq!(rules.to_string(), *list);
        rules
    });
    let Some(_) = loaded("rules for devices", &DeviceRules::usual()) else {
        return;
    };
    let nodes = Nodes::new("last");
    for rules in all.chain([DeviceRules::usual()]) {
        let scratch = Scratch::new("rules for devices").unwrap();
        assert_eq!(
            denied(&scratch.0, &nodes.0),
            "",
            "nothing else is in the way"
        );
        rules.load().unwrap().attach(&scratch.0).unwrap();
        assert_eq!(denied(&scratch.0, &nodes.0), expected(&[&rules]), "{rules}");
    }
    assert_eq!(expected(&[&DeviceRules::everything()]), "");
    assert_eq!(
        expected(&[&DeviceRules::usual()]),
        "b.240.3 r\nb.240.3 w\nb.240.3 rw\nb.241.7 r\nb.241.7 w\nb.241.7 rw\n"
    );
}

/// Also that of a group above, which a process gets into by being put below it.
#[test]
fn all_programs_must_agree_and_stay_when_nobody_holds_them() {
    let test = "programs for devices";
    let Some(usual) = loaded(test, &DeviceRules::usual()) else {
        return;
    };
    let nodes = Nodes::new("agree");
    let scratch = Scratch::new(test).unwrap();
    let below = scratch.0.create("below").unwrap();
    usual.attach(&scratch.0).unwrap();
    drop(usual);
    let no_null = DeviceRules::new([DeviceRule::ALLOW_ALL, rule("deny c 1:3 rw")]);
    let everything = DeviceRules::everything().load().unwrap();
    let no_null_loaded = no_null.load().unwrap();
    for group in [&scratch.0, &below] {
        everything.attach(group).unwrap();
        no_null_loaded.attach(group).unwrap();
    }
    drop((everything, no_null_loaded));
    let both = expected(&[&DeviceRules::usual(), &no_null]);
    assert!(both.contains("c.1.3 r\n") && both.contains("b.241.7 r\n"));
    for group in [&scratch.0, &below] {
        assert_eq!(denied(group, &nodes.0), both);
    }
}

#[test]
fn an_ordinary_user_is_told_what_it_takes() {
    if nobody::is_root() {
        return println!("skipped: a program for devices refused: root may load one");
    }
    let error = DeviceRules::usual().load().unwrap_err();
    assert_eq!(error.kind(), Kind::Permission, "{error}");
    assert!(error.to_string().contains("CAP_BPF"), "{error}");
}
