//! What people are told about manifests that are wrong: the whole text, so that it is read when it changes.

use podlife::model::{ErrorType, Limits, Pod, Valid};

#[track_caller]
fn says(manifest: &str, expected: &str) {
    let errors = Valid::<Pod>::try_from(manifest).expect_err("it is wrong");
    assert_eq!(errors.to_string(), expected, "\n{errors}\n");
}

#[test]
fn not_yaml() {
    says(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web\nspec:\n  containers: []\n",
        "\
syntax error: while parsing a flow mapping, did not find expected ',' or '}'
  --> line 4, column 5
  4 | spec:
    |     ^",
    );
}

#[test]
fn not_a_manifest() {
    says(
        "hello world\n",
        "\
wrong type: a manifest is a mapping with apiVersion, kind, metadata and spec, not a string
  --> line 1, column 1
  1 | hello world
    | ^",
    );
    says(
        "# nothing yet\n",
        "required: one Pod is expected, and there is nothing",
    );
}

#[test]
fn not_a_pod() {
    says(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n",
        "\
kind: unsupported value \"Deployment\": podlife reads Pod, ConfigMap, Secret, PersistentVolumeClaim and List
  --> line 2, column 7
  2 | kind: Deployment
    |       ^",
    );
}

#[test]
fn missing_containers() {
    says(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  restartPolicy: Never\n",
        "\
spec.containers: required: a pod needs at least one container
  --> line 5, column 1
  5 | spec:
    | ^",
    );
}

#[test]
fn duplicate_names() {
    says(
        "\
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
  - name: web
    image: nginx
  - name: web
    image: redis
",
        "\
spec.containers[1].name: duplicate value \"web\": each container of the pod has its own name
  --> line 9, column 11
  9 |   - name: web
    |           ^",
    );
}

#[test]
fn unknown_fields() {
    says(
        "\
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
  - name: web
    imge: nginx
    replicas: 2
",
        "\
2 errors
spec.containers[0].imge: unknown field: did you mean image?
  --> line 8, column 5
  8 |     imge: nginx
    |     ^
spec.containers[0].replicas: unknown field: Kubernetes has no such field here; a field of this name may belong elsewhere
  --> line 9, column 5
  9 |     replicas: 2
    |     ^",
    );
}

#[test]
fn wrong_types() {
    says(
        "\
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {cached: yes}
spec:
  hostNetwork: \"true\"
  containers:
  - name: web
    image: nginx
    env:
    - name: PORT
      value: 8080
    command: sleep 10
",
        "\
4 errors
metadata.labels[cached]: wrong type: a string is expected, not the boolean true; put it in quotes
  --> line 5, column 20
  5 |   labels: {cached: yes}
    |                    ^
spec.hostNetwork: wrong type: a boolean is expected, not the string \"true\"
  --> line 7, column 16
  7 |   hostNetwork: \"true\"
    |                ^
spec.containers[0].env[0].value: wrong type: a string is expected, not the number 8080; put it in quotes
  --> line 13, column 14
  13 |       value: 8080
     |              ^
spec.containers[0].command: wrong type: a list is expected, not the string \"sleep 10\"
  --> line 14, column 14
  14 |     command: sleep 10
     |              ^",
    );
}

#[test]
fn bad_quantity() {
    says(
        "\
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
  - name: web
    image: nginx
    resources:
      limits:
        memory: 64MB
",
        "\
spec.containers[0].resources.limits[memory]: invalid value: could not read the quantity \"64MB\": its suffix is not a \
known one; write a number and one of n u m k M G T P E Ki Mi Gi Ti Pi Ei, such as 500m or 64Mi
  --> line 11, column 17
  11 |         memory: 64MB
     |                 ^",
    );
}

#[test]
fn indentation() {
    says(
        "apiVersion: v1\nkind: Pod\nmetadata:\n\tname: web\n",
        "\
syntax error: tabs disallowed within this context (block indentation); YAML is indented with spaces, not tabs
  --> line 4, column 2
  4 | →name: web
    |  ^",
    );
    says(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n   labels: {}\n",
        "\
syntax error: mapping values are not allowed in this context; check the indentation, and put text with a colon in it in quotes
  --> line 5, column 10
  5 |    labels: {}
    |          ^",
    );
}

#[test]
fn duplicate_keys() {
    says(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  name: web2\n",
        "\
duplicate value: the key name is there already
  --> line 5, column 3
  5 |   name: web2
    |   ^",
    );
}

#[test]
fn duplicate_keys_in_json() {
    let json = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "1", "a": "2"}, "name": "web"}}"#;
    let duplicate = |error: &podlife::model::Errors| {
        let error = error.iter().next().unwrap();
        assert_eq!(
            (error.error_type, error.detail.as_str()),
            (ErrorType::Duplicate, "the key a is there already")
        );
    };
    duplicate(&Valid::<Pod>::try_from(json).unwrap_err());
    let json = json
        .replacen("labels", "name", 1)
        .replacen(r#"{"a": "1", "a": "2"}"#, "\"web\"", 1);
    assert!(Pod::from_json(json.as_bytes()).is_err());
}

#[test]
fn several_things_at_once() {
    says(
        "\
apiVersion: v1
kind: Pod
metadata:
  name: Web_1
spec:
  restartPolicy: Sometimes
  containers:
  - name: web
    image: nginx
    livenessProbe: {}
    volumeMounts:
    - name: data
      mountPath: /data
    resources:
      requests: {cpu: 2}
      limits: {cpu: 1}
",
        "\
5 errors
metadata.name: invalid value \"Web_1\": use at most 253 lower-case letters, digits, dashes and dots, with a letter or \
digit at both ends of each part
  --> line 4, column 9
  4 |   name: Web_1
    |         ^
spec.restartPolicy: unsupported value \"Sometimes\": use Always, OnFailure or Never
  --> line 6, column 18
  6 |   restartPolicy: Sometimes
    |                  ^
spec.containers[0].livenessProbe: required: it needs a handler: exec, httpGet, tcpSocket, grpc (probes) or sleep (hooks)
  --> line 10, column 5
  10 |     livenessProbe: {}
     |     ^
spec.containers[0].volumeMounts[0].name: not found \"data\": spec.volumes has no volume of this name
  --> line 12, column 13
  12 |     - name: data
     |             ^
spec.containers[0].resources.requests: invalid value \"2\": the cpu request has to be at most the limit, 1
  --> line 15, column 7
  15 |       requests: {cpu: 2}
     |       ^",
    );
}

#[test]
fn json() {
    says(
        "{\"apiVersion\": \"v1\", \"kind\": \"Pod\",\n  \"spec\": {\"containers\": [{\"nme\": 1}]}}",
        "\
spec.containers[0].nme: unknown field: did you mean name?
  --> line 2, column 28
  2 |   \"spec\": {\"containers\": [{\"nme\": 1}]}}
    |                            ^",
    );
    says(
        "{\"apiVersion\": \"v1\", \"kind\": \"Pod\",\n  \"spec\": {}",
        "\
syntax error: EOF while parsing an object
  --> line 2, column 12
  2 |   \"spec\": {}
    |            ^",
    );
}

#[test]
fn a_misspelt_option() {
    says(
        "\
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    podlife.io/strictDeadlin: 20s
spec:
  containers: [{name: web, image: nginx}]
",
        "\
metadata.annotations[podlife.io/strictDeadlin]: unknown field: did you mean strictDeadline?
  --> line 6, column 5
  6 |     podlife.io/strictDeadlin: 20s
    |     ^",
    );
}

#[test]
fn too_large() {
    let huge = "#".repeat(100 << 20);
    let started = std::time::Instant::now();
    says(
        &huge,
        "too large: 104857600 bytes, where at most 4194304 are read",
    );
    assert!(
        started.elapsed().as_millis() < 1000,
        "it is refused before it is read"
    );
}

#[test]
fn an_alias_bomb() {
    let mut bomb = "l0: &l0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        let below = format!("*l{},", level - 1).repeat(10);
        bomb.push_str(&format!("l{level}: &l{level} [{below}]\n"));
    }
    let errors = Valid::<Pod>::try_from(bomb.as_str()).unwrap_err();
    let text = errors.to_string();
    let start = "too large: at most 100000 values are read, aliases expanded, nested at most 64 levels deep\n  --> line 5,";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn too_deep() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let deep = format!("{}{}", open.repeat(10_000), close.repeat(10_000));
        let errors = Valid::<Pod>::try_from(deep.as_str()).unwrap_err();
        let error = errors.iter().next().unwrap();
        assert!(
            matches!(error.error_type, ErrorType::TooLarge | ErrorType::Syntax),
            "{errors}"
        );
    }
    let deep = format!("{}{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    assert!(Pod::from_json(deep.as_bytes()).is_err());
}

#[test]
fn many_empty_containers_are_not_built() {
    let many = "{},".repeat(1_000_000);
    let json =
        format!(r#"{{"apiVersion":"v1","kind":"Pod","spec":{{"containers":[{many}{{}}]}}}}"#);
    assert!(json.len() < Limits::default().bytes);
    let errors = Pod::from_json(json.as_bytes()).unwrap_err();
    assert_eq!(errors.to_string(), "too large: more than 100000 values");
}
