//! A program in a running container, to its end: by the API, as a probe, and by other runtimes.

use std::process::Command;
use std::time::{Duration, Instant};

use podlife::Node;
use podlife::model::{Pod, PodOptions, Probe};
use podlife::node::{ContainerChange, Delete, EventKind, Exec, PodId, Until};

use crate::container::sleeper;
use crate::runtime::Runtime;
use crate::turns::{self, Turn};

const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than a probe takes, or it would be due again with its answer.
pub(crate) const PERIOD: Duration = Duration::from_millis(20);

pub(crate) fn run(whole: bool) {
    let mut node = Node::ephemeral().unwrap();
    let pod = node.create(Pod::new("exec").container(sleeper())).unwrap();
    node.wait(pod, Until::Ready, PATIENCE).unwrap();
    let mut probing = Probing::new(sleeper().readiness(Probe::exec(["/bin/false"])));
    let runtimes: Vec<_> = ["crun", "runc"]
        .into_iter()
        .filter_map(Runtime::start)
        .collect();
    let mut turns = vec![
        Turn::timed("a process of the host's", || {
            assert!(Command::new("/bin/true").status().unwrap().success());
        }),
        Turn::timed("Node::output", || {
            let output = node.output(pod, "main", Exec::new(["/bin/true"]), PATIENCE);
            assert!(output.unwrap().success());
        }),
        Turn::new("exec probe", || probing.once()),
    ];
    turns.extend(runtimes.iter().map(|runtime| {
        Turn::timed(runtime.name(), || {
            runtime.exec("/bin/true");
        })
    }));
    turns::take(if whole { 200 } else { 3 }, turns);
}

/// A Node with a pod whose readiness probe is due whenever the Node is driven, and always fails: that is told each time.
pub(crate) struct Probing(Node, PodId);

impl Probing {
    pub(crate) fn new(container: podlife::model::Container) -> Probing {
        let mut options = PodOptions::default();
        options.probe_period = Some(PERIOD);
        let pod = Pod::new("probed").container(container).validate().unwrap();
        let mut node = Node::ephemeral().unwrap();
        let id = node.create_with(pod, options).unwrap();
        Probing(node, id)
    }

    /// From when it is long due to when everybody is told what it found.
    pub(crate) fn once(&mut self) -> Duration {
        self.found();
        // That one may have been due for long; then the next began with its answer.
        let _ = self.0.run_until(PERIOD / 2, |_, _| false);
        std::thread::sleep(PERIOD);
        let begin = Instant::now();
        self.found();
        begin.elapsed()
    }

    /// Beside another pod: the median of so many.
    pub(crate) fn beside(&mut self, neighbour: Pod, count: usize) -> Duration {
        let id = self.0.create(neighbour).unwrap();
        self.0.wait(id, Until::Ready, PATIENCE).unwrap();
        while self.0.next_event().is_some() {}
        let mut times: Vec<_> = (0..count).map(|_| self.once()).collect();
        self.0.delete(id, Delete::now()).unwrap();
        self.0.wait(id, Until::Deleted, PATIENCE).unwrap();
        times.sort();
        times[count / 2]
    }

    /// Drives until it has found something, and says what.
    pub(crate) fn found(&mut self) -> String {
        let mut said = String::new();
        let Probing(node, id) = self;
        node.run_until(PATIENCE, |_, event| match &event.kind {
            EventKind::Container(container)
                if event.pod == *id
                    && matches!(container.change, ContainerChange::Unhealthy(_)) =>
            {
                said = container.detail.as_deref().unwrap_or_default().to_owned();
                true
            }
            _ => false,
        })
        .unwrap();
        said
    }
}
