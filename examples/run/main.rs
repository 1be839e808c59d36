//! Runs the pod of a manifest on this host and shows its life: `cargo run --example run -- examples/pods/auto-pod.yaml`.
//!
//! One thread: it waits on the Node's descriptor, on a pipe that signals write to, and on the containers' logs.

mod args;
mod demo;
mod image;
mod screen;

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use args::{Command, Options};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use podlife::linux::Clock;
use podlife::model::objects::Object;
use podlife::model::{ContainerStatus, Documents, Phase, Pod, Valid};
use podlife::node::{
    ContainerChange, ContainerEvent, Delete, Event, EventKind, LogOptions, Logs, NodeOptions,
};
use podlife::{Error, Node, PodId};
use screen::Screen;
use signal_hook::consts::{SIGINT, SIGTERM};

/// A manifest is never this large; the library has its own, lower bound.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NODE: u8 = 3;
const KILLED: u8 = 130;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    // Inside a pod this very program has another name.
    if args.first().is_some_and(|name| name.ends_with("/demo")) {
        return demo::main(&args[1..]);
    }
    match args::parse(args.get(1..).unwrap_or_default()) {
        Ok(Command::Help) => {
            print!("{}", args::HELP);
            ExitCode::SUCCESS
        }
        Ok(Command::Run(options)) => run(&options),
        Err(why) => fail(USAGE, &format!("{why}\n\n{}", args::HELP)),
    }
}

fn fail(code: u8, why: &str) -> ExitCode {
    eprintln!("run: {}", why.trim_end());
    ExitCode::from(code)
}

fn run(options: &Options) -> ExitCode {
    let (pod, objects) = match read(&options.manifest).and_then(|text| parse(&text)) {
        Ok(parsed) => parsed,
        Err(why) => return fail(USAGE, &why),
    };
    match Show::start(options, pod, objects).and_then(Show::watch) {
        Ok(code) => ExitCode::from(code),
        Err(why) => fail(NODE, &why.to_string()),
    }
}

/// One pod, and the ConfigMaps and Secrets beside it. What cannot be met here is an error too, and not only a note.
fn parse(text: &str) -> Result<(Valid<Pod>, Vec<Object>), String> {
    let documents = Documents::read(text).map_err(|why| why.to_string())?;
    let mut pods = documents.validate(text).map_err(|why| why.to_string())?;
    let pod = match (pods.pop(), pods.len()) {
        (Some(pod), 0) => pod,
        (None, _) => return Err("one Pod is expected, and there is none".into()),
        (_, others) => return Err(format!("one Pod is expected, not {}", others + 1)),
    };
    pod.report().accept().map_err(|why| why.to_string())?;
    Ok((pod, documents.objects().collect()))
}

fn read(path: &str) -> Result<String, String> {
    let source: io::Result<Box<dyn Read>> = match path {
        "-" => Ok(Box::new(io::stdin())),
        path => File::open(path).map(|file| Box::new(file) as Box<dyn Read>),
    };
    let mut text = String::new();
    source
        .and_then(|source| source.take(MANIFEST_BYTES_MAX).read_to_string(&mut text))
        .map_err(|why| Error::io(format!("read {path}"), why).to_string())?;
    Ok(text)
}

/// One pod, from its creation to its end.
struct Show {
    node: Node,
    pod: PodId,
    screen: Screen,
    outputs: Vec<Output>,
    signals: UnixStream,
    /// How often Ctrl-C was pressed.
    interrupts: u32,
    gone: bool,
}

/// The output of one run of a container, as far as it was shown.
struct Output {
    container: String,
    logs: Logs,
    line: Vec<u8>,
}

impl Show {
    fn start(options: &Options, pod: Valid<Pod>, objects: Vec<Object>) -> podlife::Result<Show> {
        let signals = signals().map_err(|why| Error::io("catch Ctrl-C", why))?;
        let with_image = image::add(Node::options(), options)?;
        let mut node = objects
            .into_iter()
            .fold(with_image, NodeOptions::object)
            .open()?;
        let names = pod.spec.init_containers.iter().chain(&pod.spec.containers);
        let mut screen = Screen::new(
            options.json,
            names.map(|container| container.name.clone()).collect(),
        );
        for line in pod.report().without_effect() {
            screen.note(&format!("{}: {}", line.field, line.effect));
        }
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let running = node
            .find(namespace, pod.metadata.name.as_deref().unwrap_or_default())
            .map(|pod| pod.id());
        let pod = match running {
            Some(id) => id, // recovered from the state directory
            None => node.create(pod)?,
        };
        Ok(Show {
            node,
            pod,
            screen,
            outputs: Vec::new(),
            signals,
            interrupts: 0,
            gone: false,
        })
    }

    /// Shows everything until the pod is gone; the exit code.
    fn watch(mut self) -> podlife::Result<u8> {
        let mut code = None;
        self.follow_recovered();
        self.show_pod();
        while !self.gone {
            self.wait()?;
            self.node.turn(Some(Duration::ZERO))?;
            self.take_events();
            self.take_output();
            self.show_pod();
            self.take_interrupts()?;
            if code.is_none() && self.finished().is_some() {
                code = self.finished();
                self.delete(Delete::default())?;
            }
        }
        Ok(match self.interrupts {
            0 => code.unwrap_or(0),
            1 => 0,
            _ => KILLED,
        })
    }

    /// Until something happens: to the pod, to its output, or at the keyboard.
    fn wait(&self) -> podlife::Result<()> {
        let mut wanted = vec![
            PollFd::new(self.node.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        wanted.extend(
            self.outputs
                .iter()
                .map(|output| PollFd::new(output.logs.as_fd(), PollFlags::POLLIN)),
        );
        match poll(&mut wanted, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::os("wait for something to happen", errno as i32)),
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.node.next_event() {
            if event.pod != self.pod {
                continue;
            }
            if happened(&event, ContainerChange::Exited).is_some() {
                self.take_output(); // its last words come before its end
            }
            self.screen.event(&event);
            if let Some(started) = happened(&event, ContainerChange::Started) {
                let attempt = Some(started.attempt);
                let options = LogOptions {
                    attempt,
                    ..LogOptions::default()
                };
                self.follow(&started.container, options);
            }
            self.gone |= event.kind == EventKind::Deleted;
        }
    }

    fn follow(&mut self, container: &str, options: LogOptions) {
        let options = LogOptions {
            follow: true,
            ..options
        };
        match self.node.logs(self.pod, container, options) {
            Ok(logs) => self.outputs.push(Output {
                container: container.to_string(),
                logs,
                line: Vec::new(),
            }),
            Err(why) => self.screen.note(&why.to_string()),
        }
    }

    /// A pod from the state directory: its containers run already.
    fn follow_recovered(&mut self) {
        let Some(pod) = self.node.pod(self.pod) else {
            return;
        };
        let status = pod.status();
        let all = status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses);
        let running = |status: &&ContainerStatus| {
            status
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some())
        };
        let names: Vec<String> = all
            .filter(running)
            .map(|status| status.name.clone())
            .collect();
        for name in names {
            self.follow(
                &name,
                LogOptions {
                    tail: Some(10),
                    ..LogOptions::default()
                },
            );
        }
    }

    fn take_output(&mut self) {
        self.outputs
            .retain_mut(|output| output.show(&mut self.screen));
    }

    fn show_pod(&mut self) {
        if let Some(pod) = self.node.pod(self.pod) {
            self.screen.pod(&pod.row(Clock::wall()), pod.status());
        }
    }

    fn take_interrupts(&mut self) -> podlife::Result<()> {
        let mut pressed = [0; 16];
        let count = match self.signals.read(&mut pressed) {
            Ok(count) => count,
            Err(_) if self.screen.closed && self.interrupts == 0 => 1, // nobody looks any more
            Err(_) => 0,
        };
        for _ in 0..count {
            self.interrupts += 1;
            match self.interrupts {
                1 => {
                    self.screen.note("deleting the pod; Ctrl-C again kills it");
                    self.delete(Delete::default())?;
                }
                2 => {
                    self.screen.note("killing the pod");
                    self.delete(Delete::now())?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The exit code, when the pod has done its work and everything it printed was shown.
    fn finished(&self) -> Option<u8> {
        let pod = self
            .node
            .pod(self.pod)
            .filter(|_| self.outputs.is_empty())?;
        match pod.status().phase {
            Some(Phase::Succeeded) => Some(0),
            Some(Phase::Failed) => Some(FAILED),
            _ => None,
        }
    }

    fn delete(&mut self, how: Delete) -> podlife::Result<()> {
        match self.node.delete(self.pod, how) {
            Err(why) if why.kind() == podlife::Kind::NotFound => Ok(()), // gone in the meantime
            outcome => outcome,
        }
    }
}

impl Output {
    /// Shows what there is; false when there will be no more.
    fn show(&mut self, screen: &mut Screen) -> bool {
        let mut piece = [0; 8192];
        loop {
            match self.logs.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => self.add(&piece[..count], screen),
                Err(why) if why.kind() == ErrorKind::WouldBlock => return true,
                Err(why) => {
                    screen.note(&format!(
                        "the log of {} cannot be read: {why}",
                        self.container
                    ));
                    break;
                }
            }
        }
        if !self.line.is_empty() {
            self.add(b"\n", screen);
        }
        false
    }

    fn add(&mut self, bytes: &[u8], screen: &mut Screen) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") {
                screen.output(
                    &self.container,
                    String::from_utf8_lossy(&self.line).trim_end(),
                );
                self.line.clear();
            }
        }
    }
}

/// The container this happened to, if it is that which happened.
fn happened(event: &Event, change: ContainerChange) -> Option<&ContainerEvent> {
    match &event.kind {
        EventKind::Container(event) if event.change == change => Some(event),
        _ => None,
    }
}

/// Each Ctrl-C puts a byte into the pipe whose end this is.
fn signals() -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    for signal in [SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    Ok(read)
}
