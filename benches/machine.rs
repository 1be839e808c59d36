//! What one machine costs: inputs in steady probing, state changes, turns. Time is the thread's own on a processor, so that a busy host
//! does not count.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use podlife::lifecycle::history::History;
use podlife::lifecycle::{
    Action, ContainerIndex, Exit, Finding, Input, Outcome, Output, Persisted, PodMachine,
    PodOptions, Ticket,
};
use podlife::model::{Pod, Valid};
use podlife::time::{Mono, Now, Wall};

/// Entries that a Node keeps of each pod unless it is told otherwise.
const KEPT: usize = 128;

/// Between two runs of a probe.
const PERIOD: Duration = Duration::from_secs(1);

/// The time this thread had a processor.
struct CpuTime;

impl CpuTime {
    fn now() -> Duration {
        let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
        clock.now().map_or(Duration::ZERO, Duration::from)
    }
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        CpuTime::now()
    }

    fn end(&self, start: Duration) -> Duration {
        CpuTime::now().saturating_sub(start)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// A pod with this many containers, each with a liveness and a readiness probe.
fn pod(containers: usize) -> Valid<Pod> {
    let probe = r#"{"tcpSocket": {"port": 80}, "periodSeconds": 1}"#;
    let container = |i| {
        format!(
            r#"{{"name": "c{i}", "image": "nginx", "livenessProbe": {probe}, "readinessProbe": {probe}}}"#
        )
    };
    let containers: Vec<String> = (0..containers).map(container).collect();
    let text = format!(
        r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "web"}}, "spec": {{"containers": [{}]}}}}"#,
        containers.join(",")
    );
    text.as_str().try_into().expect("a valid pod")
}

/// The same without probes: once it runs, it waits for nothing.
fn quiet(pod: &Valid<Pod>) -> Valid<Pod> {
    let mut pod = pod.clone().edit();
    for container in &mut pod.spec.containers {
        container.liveness_probe = None;
        container.readiness_probe = None;
    }
    pod.validate().expect("a valid pod")
}

/// A driver that does everything at once.
struct Driver {
    machine: PodMachine,
    now: Now,
    wait: Mono,
    inputs: u64,
    probes: Vec<Ticket>,
    /// As a Node keeps it.
    history: Option<History>,
}

impl Driver {
    fn new(pod: Valid<Pod>) -> Driver {
        let now = Now {
            mono: Mono::from_secs(100),
            wall: Wall::from_secs(1_700_000_000),
        };
        let machine = PodMachine::new(pod, PodOptions::default(), now);
        let mut driver = Driver {
            machine,
            now,
            wait: Mono::MAX,
            inputs: 0,
            probes: Vec::new(),
            history: None,
        };
        driver.drain();
        driver
    }

    fn handle(&mut self, input: Input) {
        self.inputs += 1;
        if let Some(history) = &mut self.history {
            history.push(self.now, input.clone());
        }
        self.machine.handle(self.now, input);
    }

    fn drain(&mut self) {
        loop {
            match self.machine.poll_output() {
                Output::Wait(until) => {
                    self.wait = until.unwrap_or(Mono::MAX);
                    let Some(ticket) = self.probes.pop() else {
                        return;
                    };
                    self.handle(Input::Done(ticket, Outcome::Probe(Finding::Success)));
                }
                Output::Persist => self.handle(Input::Persisted(Persisted::Written)),
                Output::Perform(ticket, Action::Probe { .. }) => self.probes.push(ticket),
                Output::Perform(ticket, action) => {
                    let outcome = match action {
                        Action::CreateSandbox { .. } => Outcome::Sandbox { ip: None },
                        Action::Start { .. } => Outcome::Started { at: self.now },
                        _ => Outcome::Done,
                    };
                    self.handle(Input::Done(ticket, outcome));
                }
                Output::Cancel(ticket) => self.probes.retain(|held| *held != ticket),
                Output::Notify(_) => {}
            }
        }
    }

    /// To the next deadline.
    fn step(&mut self) {
        self.now = self.now.after(self.wait - self.now.mono);
        self.handle(Input::Tick);
        self.drain();
    }

    fn exit(&mut self, attempt: u32) {
        let finished = self.now;
        let exit = Exit {
            code: 1,
            signal: None,
            reason: "Error".into(),
            message: None,
            started: Some(self.now),
            finished,
        };
        self.handle(Input::Exited {
            container: ContainerIndex(0),
            attempt,
            exit: Box::new(exit),
        });
        self.drain();
    }
}

fn steady(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("machine");
    let mut driver = Driver::new(pod(1));
    for _ in 0..10 {
        driver.step();
    }
    let before = driver.inputs;
    driver.step();
    group.throughput(Throughput::Elements(driver.inputs - before));
    group.bench_function("steady probing, inputs", |b| {
        b.iter(|| black_box(&mut driver).step())
    });
    driver.history = Some(History::bounded(&driver.machine, KEPT));
    group.bench_function("steady probing with a history, inputs", |b| {
        b.iter(|| black_box(&mut driver).step())
    });
    group.finish();
}

fn changes(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("machine");
    let mut driver = Driver::new(pod(1));
    let mut attempt = 0;
    let mut life = |driver: &mut Driver| {
        driver.exit(attempt);
        // Past the longest back-off, and long enough after to start over.
        driver.now = driver.now.after(Duration::from_secs(700));
        driver.handle(Input::Tick);
        driver.drain();
        attempt += 1;
    };
    let before = driver.inputs;
    life(&mut driver);
    group.throughput(Throughput::Elements(driver.inputs - before));
    group.bench_function("exit to running again, inputs", |b| {
        b.iter(|| life(black_box(&mut driver)))
    });
    group.finish();
}

/// The deadlines of many pods, as a Node keeps them: one that waits for nothing is not among them.
struct Deadlines(BinaryHeap<Reverse<(Mono, usize)>>);

impl Deadlines {
    fn of(drivers: &[Driver]) -> Deadlines {
        let all = drivers.iter().enumerate();
        let waiting = all.filter(|(_, driver)| driver.wait != Mono::MAX);
        Deadlines(
            waiting
                .map(|(place, driver)| Reverse((driver.wait, place)))
                .collect(),
        )
    }

    /// One turn: what is due next is done, and waits for what that says.
    fn turn(&mut self, run: impl FnOnce(usize, Mono) -> Mono) {
        if let Some(Reverse((at, place))) = self.0.pop() {
            self.0.push(Reverse((run(place, at), place)));
        }
    }
}

fn short<'c>(c: &'c mut Criterion<CpuTime>, name: &str) -> BenchmarkGroup<'c, CpuTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    group.warm_up_time(Duration::from_secs(1));
    group.measurement_time(Duration::from_secs(2));
    group
}

fn step(drivers: &mut [Driver], place: usize) -> Mono {
    drivers[place].step();
    drivers[place].wait
}

/// What a turn costs must not grow with the pods that have nothing to do: the same number is busy, spread evenly among the idle.
fn idle(c: &mut Criterion<CpuTime>) {
    const BUSY: usize = 100;
    let mut group = short(c, "idle");
    let busy = pod(1);
    let quiet = quiet(&busy);
    for pods in [BUSY, 1_000, 10_000] {
        let pod = |place| {
            if place % (pods / BUSY) == 0 {
                &busy
            } else {
                &quiet
            }
        };
        let mut drivers: Vec<Driver> = (0..pods)
            .map(|place| Driver::new(pod(place).clone()))
            .collect();
        // The last write comes a second after the start.
        drivers.iter_mut().for_each(Driver::step);
        let mut deadlines = Deadlines::of(&drivers);
        assert_eq!(deadlines.0.len(), BUSY);
        group.bench_function(format!("a turn of {BUSY} busy pods among {pods}"), |b| {
            b.iter(|| deadlines.turn(|place, _| step(&mut drivers, place)));
        });
    }
    group.finish();
}

/// What a turn costs where all are busy, and its parts: the heap, as deep as the logarithm of their number, and the machines,
/// which the processor's caches hold or do not.
fn busy(c: &mut Criterion<CpuTime>) {
    let mut group = short(c, "busy");
    let pod = pod(1);
    for pods in [1, 100, 10_000] {
        let mut drivers: Vec<Driver> = (0..pods).map(|_| Driver::new(pod.clone())).collect();
        let mut deadlines = Deadlines::of(&drivers);
        group.bench_function(format!("a turn among {pods} pods"), |b| {
            b.iter(|| deadlines.turn(|place, _| step(&mut drivers, place)));
        });
        group.bench_function(format!("its deadline among {pods} pods"), |b| {
            b.iter(|| deadlines.turn(|_, at| at + PERIOD));
        });
        let mut places = (0..pods).cycle();
        group.bench_function(format!("its machine among {pods} pods"), |b| {
            b.iter(|| places.next().map(|place| step(&mut drivers, place)));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = steady, changes, idle, busy
}
criterion_main!(benches);
