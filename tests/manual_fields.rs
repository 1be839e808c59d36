//! The manual's page of fields is made from the table in the code, so it cannot go stale.
//!
//! After a change of the table: `PODLIFE_BLESS=1 cargo test --test manual_fields`.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use podlife::model::Effect;
use podlife::model::report::TABLE;

const HEAD: &str = "\
# What podlife does with each field

Every field of `v1.Pod` is read, and none is dropped without a word: a field that Kubernetes does not have is an error.
What is done with the others is one of three:

- **enforced**: it does what Kubernetes says;
- **no effect**: it is accepted and changes nothing here. `pod.report()` lists those of a pod, and
  `pod.report().strict()` makes them errors;
- **refused**: a Node does not take a pod that has it, because to run it all the same would do harm.

A row is also for everything below its field that has no row of its own. `container` stands for `spec.containers[]` and
`spec.initContainers[]`. This page is made from the table in `podlife::model::report` by a test.

| field | what is done with it |
|---|---|
";

fn page() -> String {
    let rows = TABLE.iter().map(|row| {
        let effect = match row.effect {
            Effect::Enforced => "enforced".to_owned(),
            Effect::NoEffect(why) => format!("no effect: {why}"),
            Effect::Refused(why) => format!("**refused**: {why}"),
            other => other.to_string(),
        };
        let only = row
            .only_value()
            .map(|value| format!(" (`{value}`)"))
            .unwrap_or_default();
        format!("| `{}`{only} | {effect} |\n", row.field)
    });
    HEAD.to_owned() + &rows.collect::<String>()
}

#[test]
fn the_page_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/fields.md");
    if std::env::var_os("PODLIFE_BLESS").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "src/manual/fields.md is stale; run PODLIFE_BLESS=1 cargo test --test manual_fields"
    );
}
