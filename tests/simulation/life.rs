//! One random life: a pod, how its containers behave, and what happens around it.

use podlife::lifecycle::PodOptions;
use podlife::model::{Pod, Valid};
use serde_json::{Value, json};

use super::dice::Dice;
use super::resizes::Wishes;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const S: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Init,
    Sidecar,
    Regular,
    Ephemeral,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Always,
    OnFailure,
    Never,
}

impl Policy {
    fn text(self) -> &'static str {
        match self {
            Policy::Always => "Always",
            Policy::OnFailure => "OnFailure",
            Policy::Never => "Never",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) delay: u64,
    pub(crate) period: u64,
    pub(crate) timeout: u64,
    pub(crate) success: u64,
    pub(crate) failure: u64,
    pub(crate) grace: Option<u64>,
}

/// What the spec says of a container, as the checkers read it.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) image: u64,
    pub(crate) role: Role,
    pub(crate) policy: Policy,
    pub(crate) own_policy: bool,
    /// An exit with this code restarts it, whatever the policy.
    pub(crate) restart_on: Option<i32>,
    /// An exit with this code restarts everything.
    pub(crate) restart_all_on: Option<i32>,
    pub(crate) liveness: Option<Probe>,
    pub(crate) readiness: Option<Probe>,
    pub(crate) startup: Option<Probe>,
    pub(crate) post_start: bool,
    pub(crate) pre_stop: bool,
    /// A sidecar that came to a living pod, and one that left it.
    pub(crate) added: bool,
    pub(crate) removed: bool,
}

/// How it behaves.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    /// Ends by itself after about so long, or never.
    pub(crate) runs: Option<u64>,
    /// Exit codes it chooses from.
    pub(crate) codes: Vec<i32>,
    /// How long it takes to obey the stop signal, or that it does not.
    pub(crate) obeys: Option<u64>,
    /// What it exits with then.
    pub(crate) stop_code: i32,
    /// Permille.
    pub(crate) liveness_fails: u64,
    pub(crate) readiness_fails: u64,
    pub(crate) startup_after: Option<u64>,
    pub(crate) start_fails: u64,
    pub(crate) hook_fails: u64,
    pub(crate) hook_takes: u64,
    pub(crate) silent: u64,
    pub(crate) image_absent: bool,
    pub(crate) pull_fails: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) specs: Vec<Spec>,
    pub(crate) behaviours: Vec<Behaviour>,
    pub(crate) policy: Policy,
    pub(crate) grace: Option<u64>,
    pub(crate) deadline: Option<u64>,
    pub(crate) options: PodOptions,
    pub(crate) delete_at: u64,
    pub(crate) delete_grace: Option<u64>,
    pub(crate) force: bool,
    pub(crate) second_delete: Option<(u64, u64)>,
    pub(crate) evict_at: Option<u64>,
    pub(crate) update_at: Option<u64>,
    pub(crate) pause_dies_at: Option<u64>,
    /// Permille of outputs before which the Node crashes.
    pub(crate) crashes: u64,
    /// Permille of writes that fail.
    pub(crate) store_fails: u64,
    pub(crate) slow_store: bool,
    pub(crate) wishes: Wishes,
}

impl Life {
    pub(crate) fn random(dice: &mut Dice) -> Life {
        let policy = dice.pick(&[
            Policy::Always,
            Policy::Always,
            Policy::OnFailure,
            Policy::Never,
        ]);
        let inits = dice.pick(&[0, 0, 0, 1, 1, 2, 3]);
        let regulars = dice.pick(&[1, 1, 1, 2, 3]);
        let mut specs: Vec<Spec> = (0..inits).map(|i| spec(dice, i, policy, true)).collect();
        specs.extend((0..regulars).map(|i| spec(dice, i, policy, false)));
        let behaviours = specs.iter().map(|spec| behaviour(dice, spec)).collect();
        let rare = |dice: &mut Dice, permille, at: u64| {
            dice.permille(permille).then(|| dice.below(at) * MS)
        };
        let delete_at = dice.pick(&[50, 3_000, 60_000, 600_000, 3_000_000]);
        let mut options = PodOptions::default();
        options.start_together = dice.permille(150);
        if dice.permille(100) {
            options.strict_deadline = Some(std::time::Duration::from_secs(dice.range(1, 20)));
        }
        Life {
            specs,
            behaviours,
            policy,
            grace: dice
                .permille(900)
                .then(|| dice.pick(&[0, 1, 2, 5, 10, 30, 30])),
            deadline: dice.permille(80).then(|| dice.range(1, 400)),
            options,
            delete_at: dice.below(delete_at) * MS + dice.below(MS),
            delete_grace: dice.permille(300).then(|| dice.range(0, 40)),
            force: dice.permille(50),
            second_delete: dice
                .permille(150)
                .then(|| (dice.below(30_000) * MS, dice.range(0, 10))),
            evict_at: rare(dice, 40, delete_at),
            update_at: rare(dice, 150, delete_at),
            pause_dies_at: rare(dice, 80, delete_at),
            crashes: dice.pick(&[0, 0, 5, 20, 100]),
            store_fails: dice.pick(&[0, 0, 0, 50, 300]),
            slow_store: dice.permille(300),
            wishes: Wishes::default(),
        }
    }

    /// The manifest; `changed` images are new ones.
    pub(crate) fn pod(&self) -> Valid<Pod> {
        let of = |roles: &[Role]| -> Vec<Value> {
            let listed = |(_, spec): &(usize, &Spec)| !spec.removed && roles.contains(&spec.role);
            let specs = self.specs.iter().enumerate().filter(listed);
            specs
                .map(|(index, spec)| self.manifest(index, spec))
                .collect()
        };
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default", "uid": "8f3c1a52-0000-4000-8000-000000000001"},
            "spec": {
                "restartPolicy": self.policy.text(),
                "terminationGracePeriodSeconds": self.grace,
                "activeDeadlineSeconds": self.deadline,
                "initContainers": of(&[Role::Init, Role::Sidecar]),
                "containers": of(&[Role::Regular]),
                "ephemeralContainers": of(&[Role::Ephemeral]),
            }
        });
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        pod.validate()
            .unwrap_or_else(|errors| panic!("an invalid pod was rolled: {errors}"))
    }

    fn manifest(&self, index: usize, spec: &Spec) -> Value {
        let mut container = manifest(spec);
        if spec.role != Role::Ephemeral {
            let memory = format!("{}Mi", self.wishes.memory(index));
            container["resources"] = json!({ "limits": { "memory": memory } });
        }
        if self.restarts_to_resize(index) {
            let policy = json!({ "resourceName": "memory", "restartPolicy": "RestartContainer" });
            container["resizePolicy"] = json!([policy]);
        }
        container
    }

    /// The manifest changes: an image, or a sidecar more or less. Says what happened to which container.
    pub(crate) fn change(&mut self, dice: &mut Dice) -> usize {
        let index = dice.below(self.specs.len() as u64) as usize;
        match (dice.below(4), self.specs[index].role) {
            (0, _) => self.add(dice, Role::Sidecar),
            (1, Role::Sidecar | Role::Ephemeral) => {
                self.specs[index].removed = true;
                index
            }
            (2, _) | (_, Role::Ephemeral) => self.add(dice, Role::Ephemeral),
            _ => {
                self.specs[index].image += 1;
                index
            }
        }
    }

    fn add(&mut self, dice: &mut Dice, role: Role) -> usize {
        let index = self.specs.len();
        let mut added = spec(dice, index as u64, Policy::Always, false);
        added.name = format!("a{index}");
        (added.role, added.added) = (role, true);
        (added.restart_on, added.restart_all_on) = (None, None);
        (added.own_policy, added.policy) = (role == Role::Sidecar, Policy::Always);
        if role == Role::Ephemeral {
            (added.liveness, added.readiness, added.startup) = (None, None, None);
            (added.post_start, added.pre_stop) = (false, false);
        }
        self.behaviours.push(behaviour(dice, &added));
        self.specs.push(added);
        index
    }

    /// The grace period of a container ended on its own, as the spec says.
    pub(crate) fn container_grace(&self, index: usize) -> u64 {
        let spec = &self.specs[index];
        let of_probe = [&spec.liveness, &spec.startup]
            .into_iter()
            .flatten()
            .filter_map(|probe| probe.grace)
            .max();
        of_probe.unwrap_or(0).max(self.grace.unwrap_or(30)).max(2)
    }
}

fn spec(dice: &mut Dice, i: u64, pod: Policy, init: bool) -> Spec {
    let sidecar = init && dice.permille(500);
    let role = match (init, sidecar) {
        (false, _) => Role::Regular,
        (true, true) => Role::Sidecar,
        (true, false) => Role::Init,
    };
    let own = sidecar || dice.permille(100);
    let policy = match (sidecar, own) {
        (true, _) => Policy::Always,
        (false, true) if init => dice.pick(&[Policy::OnFailure, Policy::Never]),
        (false, true) => dice.pick(&[Policy::Always, Policy::OnFailure, Policy::Never]),
        (false, false) => pod,
    };
    let probed = role != Role::Init;
    let probe = |dice: &mut Dice, permille, kind: u8| {
        (probed && dice.permille(permille)).then(|| self::probe(dice, kind))
    };
    Spec {
        name: format!("{}{i}", if init { "i" } else { "c" }),
        image: 0,
        role,
        policy,
        own_policy: own,
        restart_on: (own && !sidecar && dice.permille(300)).then(|| dice.pick(&[0, 3, 7])),
        restart_all_on: (own && !sidecar && dice.permille(200)).then_some(9),
        liveness: probe(dice, 350, 0),
        readiness: probe(dice, 350, 1),
        startup: probe(dice, 250, 2),
        post_start: probed && dice.permille(150),
        pre_stop: probed && dice.permille(250),
        added: false,
        removed: false,
    }
}

fn probe(dice: &mut Dice, kind: u8) -> Probe {
    Probe {
        delay: dice.pick(&[0, 0, 1, 5]),
        period: dice.pick(&[1, 2, 10]),
        timeout: dice.pick(&[1, 1, 3]),
        success: if kind == 1 { dice.range(1, 2) } else { 1 },
        failure: dice.range(1, 4),
        grace: (kind != 1 && dice.permille(200)).then(|| dice.range(1, 50)),
    }
}

fn behaviour(dice: &mut Dice, spec: &Spec) -> Behaviour {
    let runs = match spec.role {
        Role::Init => dice.permille(950).then(|| dice.range(0, 20_000) * MS),
        _ => dice.permille(500).then(|| {
            let most = dice.pick(&[50, 5_000, 200_000, 900_000]);
            dice.below(most) * MS
        }),
    };
    Behaviour {
        runs,
        codes: match spec.role {
            Role::Init => vec![0, 0, 0, dice.pick(&[0, 1, 3, 137])],
            _ => vec![dice.pick(&[0, 1]), 0, dice.pick(&[0, 1, 3, 7, 137])],
        },
        obeys: dice.permille(700).then(|| {
            let most = dice.pick(&[20, 1_000, 8_000, 60_000]);
            dice.below(most) * MS
        }),
        stop_code: dice.pick(&[0, 143, 143]),
        liveness_fails: dice.pick(&[0, 0, 30, 500]),
        readiness_fails: dice.pick(&[0, 100, 500]),
        startup_after: dice.permille(850).then(|| dice.below(20_000) * MS),
        start_fails: dice.pick(&[0, 0, 0, 100, 400]),
        hook_fails: dice.pick(&[0, 0, 300]),
        hook_takes: dice.pick(&[5, 1_500, 20_000]),
        silent: dice.pick(&[0, 0, 50]),
        image_absent: dice.permille(200),
        pull_fails: dice.pick(&[0, 300]),
    }
}

fn manifest(spec: &Spec) -> Value {
    let probe = |probe: &Option<Probe>| {
        probe.map(|probe| {
            json!({
                "exec": {"command": ["true"]}, "initialDelaySeconds": probe.delay, "periodSeconds": probe.period,
                "timeoutSeconds": probe.timeout, "successThreshold": probe.success,
                "failureThreshold": probe.failure, "terminationGracePeriodSeconds": probe.grace,
            })
        })
    };
    let rule = |code: Option<i32>, action: &str| {
        code.map(
            |code| json!({"action": action, "exitCodes": {"operator": "In", "values": [code]}}),
        )
    };
    let rules = [
        rule(spec.restart_on, "Restart"),
        rule(spec.restart_all_on, "RestartAllContainers"),
    ];
    let rules: Vec<Value> = rules.into_iter().flatten().collect();
    let hook = |wanted: bool| wanted.then(|| json!({"exec": {"command": ["true"]}}));
    json!({
        "name": spec.name,
        "image": format!("example.org/{}:{}", spec.name, spec.image),
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": spec.own_policy.then(|| spec.policy.text()),
        "restartPolicyRules": if rules.is_empty() { Value::Null } else { Value::Array(rules) },
        "livenessProbe": probe(&spec.liveness),
        "readinessProbe": probe(&spec.readiness),
        "startupProbe": probe(&spec.startup),
        "lifecycle": (spec.post_start || spec.pre_stop)
            .then(|| json!({"postStart": hook(spec.post_start), "preStop": hook(spec.pre_stop)})),
    })
}
