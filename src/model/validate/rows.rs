//! Rules of Kubernetes that no row of its own test tables in `tests/vectors` asserts: what is written and what is wrong with it.

use std::collections::BTreeSet;

use super::super::Pod;

/// The spec, without its only container where that is an ordinary one, and everything that is wrong with it.
const SPECS: &[(&str, &[&str])] = &[
    // Names, node and gates.
    ("runtimeClassName: ''", &["spec.runtimeClassName Invalid"]),
    ("nodeName: node, schedulingGates: [{name: a}]", &["spec.nodeName Forbidden"]),
    // Variables.
    ("containers: [{name: a, image: i, env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.host}}}]}]", &[]),
    (
        "volumes: [{name: v, downwardAPI: {items: [{path: p, fieldRef: {fieldPath: spec.host}}]}}]",
        &["spec.volumes[0].downwardAPI.items[0].fieldRef.fieldPath NotSupported"],
    ),
    // Resources.
    ("containers: [{name: a, image: i, resources: {limits: {cpu: 1, hugepages-2Mi: 4Mi}}}]", &[]),
    (
        "containers: [{name: a, image: i, resources: {limits: {cpu: 1, hugepages-2Mi: 3Mi}}}]",
        &[
            "spec.containers[0].resources.limits[hugepages-2Mi] Invalid",
            "spec.containers[0].resources.requests[hugepages-2Mi] Invalid",
        ],
    ),
    (
        "containers: [{name: a, image: i, resources: {limits: {cpu: 1, hugepages-big: 2Mi}}}]",
        &[
            "spec.containers[0].resources.limits[hugepages-big] Invalid",
            "spec.containers[0].resources.requests[hugepages-big] Invalid",
        ],
    ),
    ("overhead: {cpu: -1}", &["spec.overhead[cpu] Invalid"]),
    ("overhead: {disk: 1}", &["spec.overhead[disk] Invalid"]),
    ("resources: {limits: {ephemeral-storage: 1Gi}}", &[
        "spec.resources.limits[ephemeral-storage] NotSupported",
        "spec.resources.requests[ephemeral-storage] NotSupported",
    ]),
    ("resources: {limits: {x.io/gpu: 1}}", &[
        "spec.resources.limits[x.io/gpu] NotSupported",
        "spec.resources.requests[x.io/gpu] NotSupported",
    ]),
    ("resources: {limits: {disk: 1}}", &[
        "spec.resources.limits[disk] Invalid",
        "spec.resources.requests[disk] Invalid",
    ]),
    (
        "resources: {limits: {cpu: 1}}, containers: [{name: a, image: i, resources: {limits: {cpu: 1, hugepages-2Mi: 2Mi}}}]",
        &[],
    ),
    (
        "resourceClaims: [{name: c, resourceClaimName: x}],
         containers: [{name: a, image: i, resources: {claims: [{name: c, request: one}, {name: c, request: two}]}}]",
        &[],
    ),
    (
        "resourceClaims: [{name: c, resourceClaimName: x}],
         containers: [{name: a, image: i, resources: {claims: [{name: c, request: one}, {name: c}]}}]",
        &["spec.containers[0].resources.claims[1] Duplicate"],
    ),
    (
        "resourceClaims: [{name: c, resourceClaimName: x}],
         containers: [{name: a, image: i, resources: {claims: [{name: c}, {name: c, request: one}]}}]",
        &["spec.containers[0].resources.claims[1] Duplicate"],
    ),
    (
        "containers: [{name: a, image: i, resources: {claims: [{name: c, request: One}]}}]",
        &[
            "spec.containers[0].resources.claims[0] NotFound",
            "spec.containers[0].resources.claims[0].request Invalid",
        ],
    ),
    (
        "restartPolicy: Never,
         containers: [{name: a, image: i, resizePolicy: [{resourceName: cpu, restartPolicy: Perhaps}]}]",
        &["spec.containers[0].resizePolicy Invalid", "spec.containers[0].resizePolicy NotSupported"],
    ),
    (
        "initContainers: [{name: b, image: i, resources: {requests: {cpu: 1}}}]", &[],
    ),
    (
        "initContainers: [{name: b, image: i, resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]}]",
        &["spec.initContainers[0].resizePolicy Invalid"],
    ),
    (
        "initContainers: [{name: b, image: i, restartPolicy: Always,
                           resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]}]",
        &[],
    ),
    // Mounts and devices.
    (
        "volumes: [{name: v, persistentVolumeClaim: {claimName: c}}],
         containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /v}],
                       volumeDevices: [{name: v, devicePath: /v}]}]",
        &[
            "spec.containers[0].volumeDevices[0].devicePath Invalid",
            "spec.containers[0].volumeDevices[0].name Invalid",
            "spec.containers[0].volumeMounts[0].mountPath Invalid",
            "spec.containers[0].volumeMounts[0].name Invalid",
        ],
    ),
    // Volumes.
    (
        "volumes: [{name: v, ephemeral: {volumeClaimTemplate: {}}}, {name: w, persistentVolumeClaim: {claimName: p-v}}]",
        &["spec.volumes[1].persistentVolumeClaim.claimName Invalid"],
    ),
    ("volumes: [{name: v, ephemeral: {}}]", &["spec.volumes[0].ephemeral.volumeClaimTemplate Required"]),
    ("volumes: [{name: v, iscsi: {targetPortal: ''}}]", &[
        "spec.volumes[0].iscsi.iqn Required",
        "spec.volumes[0].iscsi.targetPortal Required",
    ]),
    ("volumes: [{name: v, nfs: {server: s, path: ''}}]", &[
        "spec.volumes[0].nfs.path Invalid",
        "spec.volumes[0].nfs.path Required",
    ]),
    (
        "volumes: [{name: v, projected: {sources: [{clusterTrustBundle: {name: '', path: p, labelSelector: {}}}]}}]",
        &[
            "spec.volumes[0].projected.sources[0].clusterTrustBundle.labelSelector Invalid",
            "spec.volumes[0].projected.sources[0].clusterTrustBundle.name Required",
        ],
    ),
    // Ephemeral containers.
    ("ephemeralContainers: [{name: e, image: i, ports: [{containerPort: 1}]}]", &[
        "spec.ephemeralContainers[0].ports Forbidden",
    ]),
    // Operating systems.
    ("os: {name: plan9}", &["spec.os.name NotSupported"]),
    (
        "os: {name: windows}, hostPID: true, securityContext: {fsGroup: 1, windowsOptions: {}},
         containers: [{name: a, image: i, securityContext: {privileged: true, runAsNonRoot: true}}]",
        &[
            "spec.containers[0].securityContext.privileged Forbidden",
            "spec.hostPID Forbidden",
            "spec.securityContext.fsGroup Forbidden",
        ],
    ),
    (
        "os: {name: linux}, securityContext: {windowsOptions: {}},
         initContainers: [{name: b, image: i, securityContext: {windowsOptions: {}}}]",
        &[
            "spec.initContainers[0].securityContext.windowsOptions Forbidden",
            "spec.securityContext.windowsOptions Forbidden",
        ],
    ),
    (
        "os: {name: windows}, containers: [{name: a, image: i, lifecycle: {stopSignal: SIGINT}}]",
        &["spec.containers[0].lifecycle.stopSignal NotSupported"],
    ),
    // Scheduling.
    (
        "topologySpreadConstraints: [{maxSkew: 1, topologyKey: a b, whenUnsatisfiable: DoNotSchedule},
                                     {maxSkew: 2, topologyKey: a b, whenUnsatisfiable: DoNotSchedule}]",
        &["spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable} Duplicate"],
    ),
    (
        "topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule, matchLabelKeys: [k]}]",
        &["spec.topologySpreadConstraints[0].matchLabelKeys Forbidden"],
    ),
    (
        "topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule,
                                      matchLabelKeys: [k], labelSelector: {matchLabels: {k: v}}}]",
        &["spec.topologySpreadConstraints[0].matchLabelKeys[0] Invalid"],
    ),
    (
        "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [
            {topologyKey: a, labelSelector: {}, matchLabelKeys: [k], mismatchLabelKeys: [k]}]}}",
        &["spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys[0] Invalid"],
    ),
    (
        "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
            {matchExpressions: [{key: a, operator: In, values: [a b]}]},
            {matchFields: [{key: metadata.name, operator: In, values: [A]}]}]}}}",
        &[
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution\
             .nodeSelectorTerms[0].matchExpressions[0].values[0] Invalid",
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution\
             .nodeSelectorTerms[1].matchFields[0].values[0] Invalid",
        ],
    ),
];

/// What stands in the metadata beside name and namespace.
const METADATA: &[(&str, &[&str])] = &[
    ("generateName: 'A-'", &["metadata.generateName Invalid"]),
    ("generation: -1", &["metadata.generation Invalid"]),
    ("finalizers: [orphan, x.io/a]", &[]),
    ("finalizers: [mine]", &["metadata.finalizers[0] Invalid"]),
    (
        "finalizers: [orphan, foregroundDeletion]",
        &["metadata.finalizers Invalid"],
    ),
    (
        "ownerReferences: [{apiVersion: v1, kind: Event, name: o, uid: u}]",
        &["metadata.ownerReferences[0] Invalid"],
    ),
    (
        "ownerReferences: [{apiVersion: v1, kind: A, name: o, uid: u, controller: true},
                           {apiVersion: v1, kind: B, name: o, uid: u, controller: true}]",
        &["metadata.ownerReferences Invalid"],
    ),
    (
        "annotations: {controller.kubernetes.io/pod-deletion-cost: '-10'}",
        &[],
    ),
    (
        "annotations: {controller.kubernetes.io/pod-deletion-cost: '+10'}",
        &["metadata.annotations[controller.kubernetes.io/pod-deletion-cost] Invalid"],
    ),
    (
        "annotations: {kubernetes.io/config.mirror: x}",
        &["metadata.annotations[kubernetes.io/config.mirror] Invalid"],
    ),
];

#[track_caller]
fn check(metadata: &str, spec: &str, expected: &[&str]) {
    let text = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: ns, {metadata}}}, spec: {{{spec}}}}}"
    );
    let pod = Pod::from_yaml(&text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    let errors = super::pod(&pod.defaulted());
    let got: BTreeSet<String> = errors
        .iter()
        .map(|error| format!("{} {}", error.field, error.error_type))
        .collect();
    let expected: BTreeSet<String> = expected.iter().map(|&error| error.to_owned()).collect();
    assert_eq!(got, expected, "{text}");
}

#[test]
fn rules_of_a_spec() {
    for (spec, expected) in SPECS {
        if spec.contains("containers:") {
            check("", spec, expected);
        } else {
            let spec = format!("containers: [{{name: a, image: i}}], {spec}");
            check("", &spec, expected);
        }
    }
}

#[test]
fn rules_of_metadata() {
    for (metadata, expected) in METADATA {
        check(metadata, "containers: [{name: a, image: i}]", expected);
    }
}
