//! What holds for every object and for every text: printing and reading are each other's inverse, in each of three
//! languages, and no text makes reading panic or take long.

#![allow(clippy::unwrap_used)]

mod generator;

use std::time::{Duration, Instant};

use generator::{Dice, thrown};
use podlife::model::{ConfigMap, Documents, PersistentVolumeClaim, Pod, Secret, Valid};
use proptest::prelude::*;

fn pod(seed: u64) -> Pod {
    let mut dice = Dice::new(seed);
    let rarity = 2 + dice.below(6);
    thrown(&mut dice, rarity)
}

#[test]
fn generated_pods_differ_and_have_depth() {
    let texts: Vec<String> = (0..50)
        .map(|seed| serde_json::to_string(&pod(seed)).unwrap())
        .collect();
    for needle in [
        "\"readinessProbe\"",
        "\"podAntiAffinity\"",
        "\"projected\"",
        "\"containerStatuses\"",
        "\"exitCodes\"",
    ] {
        assert!(texts.iter().any(|text| text.contains(needle)), "{needle}");
    }
}

proptest! {
    #[test]
    fn json_and_back(seed: u64) {
        let pod = pod(seed);
        let json = serde_json::to_vec(&pod).unwrap();
        prop_assert_eq!(Pod::from_json(&json).unwrap(), pod);
    }

    #[test]
    fn json_is_yaml(seed: u64) {
        let pod = pod(seed);
        let json = serde_json::to_string_pretty(&pod).unwrap();
        prop_assert_eq!(Pod::from_yaml(&json).unwrap(), pod);
    }

    #[test]
    fn other_objects_and_back(seed: u64) {
        let mut dice = Dice::new(seed);
        let map: ConfigMap = thrown(&mut dice, 2);
        let secret: Secret = thrown(&mut dice, 2);
        let claim: PersistentVolumeClaim = thrown(&mut dice, 2);
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [map, secret, claim]});
        let documents = Documents::read(&list.to_string()).unwrap();
        prop_assert_eq!(documents.config_maps, vec![map]);
        prop_assert_eq!(documents.secrets, vec![secret]);
        prop_assert_eq!(documents.claims, vec![claim]);
    }

    #[test]
    fn defaults_are_filled_in_once(seed: u64) {
        let once = pod(seed).defaulted();
        prop_assert_eq!(once.clone().defaulted(), once);
    }

    #[test]
    fn validation_answers_for_any_pod(seed: u64) {
        match pod(seed).validate() {
            Ok(pod) => drop(pod.report().to_string()),
            Err(errors) => prop_assert!(!errors.to_string().is_empty()),
        }
    }

    /// Errors of validation point into the text, whatever the text.
    #[test]
    fn errors_have_a_place(seed: u64) {
        let json = serde_json::to_string_pretty(&pod(seed)).unwrap();
        if let Err(errors) = Valid::<Pod>::try_from(json.as_str()) {
            for error in &errors {
                let at = error.position.as_ref().unwrap();
                let line = json.lines().nth(at.line - 1).unwrap();
                prop_assert!(at.column <= line.chars().count() + 1, "{}", error);
            }
        }
    }

    #[test]
    fn no_text_panics(text in any::<Vec<u8>>()) {
        let _ = Pod::from_json(&text);
        let text = String::from_utf8_lossy(&text);
        let _ = Documents::read(&text);
        let _ = Valid::<Pod>::try_from(&*text);
    }

    /// Nearly right texts get further.
    #[test]
    fn no_damage_panics(seed: u64, cut in any::<(prop::sample::Index, u8)>(), junk in "[\\[\\]{}:,&*!|>%@`\"'#\\-? \n\ta-z0-9]{0,8}") {
        let json = serde_json::to_string_pretty(&pod(seed)).unwrap();
        let at = cut.0.index(json.len());
        let mut bytes = json.into_bytes();
        let end = (at + usize::from(cut.1)).min(bytes.len());
        bytes.splice(at..end, junk.bytes());
        let _ = Pod::from_json(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let started = Instant::now();
        if let Err(errors) = Pod::from_yaml(&text) {
            prop_assert!(!errors.to_string().is_empty());
        }
        prop_assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[cfg(feature = "k8s-openapi")]
mod k8s {
    use super::*;
    use k8s_openapi::api::core::v1;

    /// Sources that podlife holds as they came have to be what the API describes, which dice do not know.
    fn without_foreign_sources(mut pod: Pod) -> Pod {
        let typed = [
            "emptyDir",
            "hostPath",
            "secret",
            "nfs",
            "persistentVolumeClaim",
            "downwardAPI",
            "configMap",
            "projected",
            "image",
        ];
        pod.spec
            .volumes
            .retain(|volume| volume.sources().all(|source| typed.contains(&source)));
        pod
    }

    /// To the API an empty word is an absent one, and it writes those it requires.
    fn said(pod: &Pod) -> serde_json::Value {
        fn drop_empty(tree: &mut serde_json::Value) {
            match tree {
                serde_json::Value::Object(fields) => {
                    fields.retain(|_, value| value != "");
                    fields.values_mut().for_each(drop_empty);
                }
                serde_json::Value::Array(items) => items.iter_mut().for_each(drop_empty),
                _ => {}
            }
        }
        let mut tree = serde_json::to_value(pod).unwrap();
        drop_empty(&mut tree);
        tree
    }

    proptest! {
        #[test]
        fn k8s_openapi_and_back(seed: u64) {
            let pod = without_foreign_sources(pod(seed));
            let theirs = v1::Pod::try_from(&pod).unwrap();
            prop_assert_eq!(said(&Pod::try_from(&theirs).unwrap()), said(&pod));
        }

        #[test]
        fn from_k8s_openapi_and_back(seed: u64) {
            let theirs = v1::Pod::try_from(&without_foreign_sources(pod(seed))).unwrap();
            let ours = Pod::try_from(&theirs).unwrap();
            prop_assert_eq!(v1::Pod::try_from(&ours).unwrap(), theirs);
        }
    }
}

/// Texts made to be expensive, at the size limit: all are answered soon.
#[test]
fn nothing_takes_long() {
    let full = 4 << 20;
    let anchors = (0..40_000)
        .map(|i| format!("a{i}: &a{i} x\nb{i}: *a{i}\n"))
        .collect::<String>();
    let texts = [
        ("one line", "a".repeat(full)),
        ("list", "- a\n".repeat(full / 4)),
        ("keys", (0..200_000).map(|i| format!("k{i}: 1\n")).collect()),
        ("same key", "a: 1\n".repeat(full / 5)),
        ("comments", "#\n".repeat(full / 2)),
        ("quotes", format!("\"{}", "\\\"".repeat(full / 2 - 1))),
        ("flow", format!("[{}", "[],".repeat(full / 3 - 1))),
        ("anchors", anchors),
        ("documents", "---\na\n".repeat(full / 6)),
        ("blank", "\n".repeat(full)),
        ("question", "? ".repeat(full / 2)),
        ("dashes", "- ".repeat(full / 2)),
        ("tags", "!!str ".repeat(full / 6)),
        ("block", format!("a: |\n{}", "  b\n".repeat(full / 4 - 2))),
    ];
    for (name, text) in texts {
        assert!(text.len() <= full, "{name}");
        let started = Instant::now();
        let _ = Documents::read(&text);
        let taken = started.elapsed();
        assert!(taken < Duration::from_secs(20), "{name} took {taken:?}");
    }
}
