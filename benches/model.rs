//! What it costs to take in a manifest of 100 lines: `cargo bench --bench model --features k8s-openapi`.
//!
//! podlife parses, fills in defaults, and validates. Beside it, in the same run, the parsers that it uses make a tree without types
//! of the same bytes, and the types of the `k8s-openapi` crate are deserialised from them, which does the first of these only.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use podlife::model::{Pod, Quantity};
use serde_json::Value;
use std::hint::black_box;

const YAML: &str = include_str!("manifest.yaml");

/// The same document.
fn json() -> Vec<u8> {
    let tree: Value = serde_saphyr::from_str(YAML).expect("the manifest is YAML");
    serde_json::to_vec(&tree).expect("a tree can be written")
}

fn manifest(criterion: &mut Criterion) {
    let json = json();
    let mut group = criterion.benchmark_group("json");
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("parse, default, validate", |bencher| {
        bencher.iter(|| {
            Pod::from_json(black_box(&json))
                .expect("parses")
                .validate()
                .expect("is valid")
        });
    });
    group.bench_function("parse", |bencher| {
        bencher.iter(|| Pod::from_json(black_box(&json)).expect("parses"));
    });
    group.bench_function("serde_json: a tree", |bencher| {
        bencher.iter(|| serde_json::from_slice::<Value>(black_box(&json)).expect("parses"));
    });
    #[cfg(feature = "k8s-openapi")]
    group.bench_function("k8s-openapi: parse", |bencher| {
        type Theirs = k8s_openapi::api::core::v1::Pod;
        bencher.iter(|| serde_json::from_slice::<Theirs>(black_box(&json)).expect("parses"));
    });
    group.finish();

    let mut group = criterion.benchmark_group("yaml");
    group.throughput(Throughput::Bytes(YAML.len() as u64));
    group.bench_function("parse, default, validate", |bencher| {
        bencher.iter(|| {
            Pod::from_yaml(black_box(YAML))
                .expect("parses")
                .validate()
                .expect("is valid")
        });
    });
    group.bench_function("serde-saphyr: a tree", |bencher| {
        bencher.iter(|| serde_saphyr::from_str::<Value>(black_box(YAML)).expect("parses"));
    });
    #[cfg(feature = "k8s-openapi")]
    group.bench_function("k8s-openapi: parse", |bencher| {
        type Theirs = k8s_openapi::api::core::v1::Pod;
        bencher.iter(|| serde_saphyr::from_str::<Theirs>(black_box(YAML)).expect("parses"));
    });
    group.finish();
}

fn quantity(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("quantity");
    for text in ["500m", "64Mi", "1", "6.987654321G"] {
        group.bench_function(format!("read {text}"), |bencher| {
            bencher.iter(|| black_box(text).parse::<Quantity>().expect("is a quantity"));
        });
    }
    let memory: Quantity = "64Mi".parse().expect("is a quantity");
    group.bench_function("print 64Mi", |bencher| {
        bencher.iter(|| black_box(memory).to_string())
    });
    group.finish();
}

criterion_group!(benches, manifest, quantity);
criterion_main!(benches);
