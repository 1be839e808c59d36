//! x
use podlife::model::{Pod, Valid};
use std::time::Instant;
const J: &str = include_str!("/tmp/modelgen/pod.json");
fn time(name: &str, mut f: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..30 {
        let t = Instant::now();
        for _ in 0..500 {
            f()
        }
        best = best.min(t.elapsed().as_secs_f64() / 500.0 * 1e6);
    }
    println!("{name} {best:.2} us");
}
fn main() {
    let p = Pod::from_json(J.as_bytes()).unwrap();
    let v: Valid<Pod> = p.clone().validate().unwrap();
    println!("{}", v.report());
    time("serde direct", || {
        std::hint::black_box(serde_json::from_slice::<Pod>(J.as_bytes()).unwrap());
    });
    time("from_json", || {
        std::hint::black_box(Pod::from_json(J.as_bytes()).unwrap());
    });
    time("from_json+validate", || {
        std::hint::black_box(Pod::from_json(J.as_bytes()).unwrap().validate().unwrap());
    });
    time("try_from str", || {
        std::hint::black_box(Valid::<Pod>::try_from(J).unwrap());
    });
    time("clone", || {
        std::hint::black_box(p.clone());
    });
    time("clone+default", || {
        std::hint::black_box(p.clone().defaulted());
    });
    time("clone+validate", || {
        std::hint::black_box(p.clone().validate().unwrap());
    });
    time("report", || {
        let v = p.clone().validate().unwrap();
        std::hint::black_box(v.report());
    });
    time("k8s", || {
        std::hint::black_box(
            serde_json::from_slice::<k8s_openapi::api::core::v1::Pod>(J.as_bytes()).unwrap(),
        );
    });
}
