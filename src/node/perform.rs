//! What a pod's machine asks, done to the kernel.

use std::time::Duration;

use super::host::{Due, Host};
use super::resident::{Resident, key};
use super::volumes;
use super::work::{Purpose, WorkId};
use crate::lifecycle::{
    Action, ContainerIndex, Failure, ImageStep, Input, Outcome, ResizeStep, Signal, Ticket,
};
use crate::linux::pause::Request;
use crate::linux::{Clock, Signal as LinuxSignal};
use crate::model::image::ImageReference;

/// How long until a cgroup that was not empty is looked at again.
const BURIAL: Duration = Duration::from_millis(10);

impl Resident {
    /// Does it, or begins to. What is returned is the answer; otherwise it comes later.
    pub(super) fn perform(
        &mut self,
        host: &mut Host,
        ticket: Ticket,
        action: Action,
    ) -> Option<Outcome> {
        match action {
            Action::CreateSandbox { attempt } => self.create_sandbox(host, ticket, attempt),
            Action::StopSandbox { attempt } => self.stop_sandbox(host, ticket, attempt),
            Action::Image { container, step } => Some(self.image(host, container, step)),
            Action::Start {
                container,
                attempt,
                restart_count,
            } => self.start(host, ticket, container, attempt, restart_count),
            Action::Hook {
                container,
                attempt,
                hook,
            } => self.begin(
                host,
                WorkId(ticket),
                container,
                attempt,
                Purpose::Hook(hook),
            ),
            Action::Probe {
                container,
                attempt,
                probe,
            } => self.begin(
                host,
                WorkId(ticket),
                container,
                attempt,
                Purpose::Probe(probe),
            ),
            Action::Signal {
                container,
                attempt,
                signal,
            } => {
                self.signal(host, container, attempt, signal);
                Some(Outcome::Done)
            }
            Action::Acknowledge { container, attempt } => {
                self.forget_message(host, container, attempt);
                self.ask(&Request::Acknowledge(key(container, attempt)));
                Some(Outcome::Done)
            }
            Action::Remove { container, attempt } => Some(self.remove(host, container, attempt)),
            Action::Resize { step } => Some(match step {
                ResizeStep::Allocate => self.allocate(host),
                ResizeStep::Apply => self.apply(host),
            }),
            Action::Teardown => self.tear_down(host, ticket),
        }
    }

    /// Asks pause for something. That it cannot be asked is no error here: its end comes as a report of its own.
    pub(super) fn ask(&mut self, request: &Request<'_>) {
        if let Some(sandbox) = &mut self.sandbox {
            let _ = sandbox.connection.send(request);
        }
    }

    fn image(&self, host: &Host, container: ContainerIndex, step: ImageStep) -> Outcome {
        let image = self
            .sites
            .get(container.as_usize())
            .map(|site| site.image.clone())
            .unwrap_or_default();
        if let Err(error) = ImageReference::parse(&image) {
            let why = format!(
                "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": {error}"
            );
            return Outcome::Failed(Failure::new("InvalidImageName", why));
        }
        match (host.images.find(&image), step) {
            (Some(_), _) => Outcome::Done,
            (None, ImageStep::Inspect) => Outcome::Absent,
            (None, ImageStep::Pull) => {
                let why = format!(
                    "failed to pull and unpack image \"{image}\": this build has no image store; \
                     give the image a root by NodeOptions::rootfs, or use podlife.local/host"
                );
                Outcome::Failed(Failure::new("ErrImagePull", why))
            }
        }
    }

    fn signal(&mut self, host: &Host, container: ContainerIndex, attempt: u32, signal: Signal) {
        // Whatever it left in other PID namespaces, or in the host's, goes too.
        if let (Signal::Kill, Some(cgroup)) =
            (signal, self.container_cgroup(host, container, attempt))
        {
            let _ = cgroup.kill();
            self.thaw(host);
        }
        let signal = match signal {
            Signal::Kill => LinuxSignal::KILL,
            Signal::Stop => self.stop_signal(container),
        };
        self.ask(&Request::Signal(key(container, attempt), signal));
    }

    /// `lifecycle.stopSignal`, or SIGTERM. Images that name another do not exist yet.
    fn stop_signal(&self, container: ContainerIndex) -> LinuxSignal {
        let lifecycle = self
            .spec(container)
            .and_then(|spec| spec.lifecycle.as_ref());
        let given = lifecycle.and_then(|lifecycle| lifecycle.stop_signal.as_deref());
        given
            .and_then(|name| name.parse().ok())
            .unwrap_or(LinuxSignal::TERM)
    }

    fn remove(&mut self, host: &mut Host, container: ContainerIndex, attempt: u32) -> Outcome {
        self.ask(&Request::Acknowledge(key(container, attempt)));
        self.remove_container_cgroup(host, container, attempt);
        if let Some(site) = self.sites.get_mut(container.as_usize()) {
            site.forget(attempt);
        }
        Outcome::Done
    }

    /// What was killed just now leaves its cgroup a moment later.
    pub(super) fn tear_down(&mut self, host: &mut Host, ticket: Ticket) -> Option<Outcome> {
        if !self.remove_cgroup(host) {
            self.tearing_down = Some(ticket);
            host.schedule(Clock::mono() + BURIAL, Due::Teardown(self.id));
            return None;
        }
        let removed = self
            .files
            .as_ref()
            .map(|files| volumes::remove(&files.volumes(), host.users()));
        Some(match removed {
            None | Some(Ok(())) => Outcome::Done,
            Some(Err(error)) => Outcome::Failed(Failure::new("FailedTeardown", error.to_string())),
        })
    }

    /// Looks again.
    pub(super) fn tear_down_again(&mut self, host: &mut Host) {
        let Some(ticket) = self.tearing_down.take() else {
            return;
        };
        if let Some(outcome) = self.tear_down(host, ticket) {
            self.tell(Input::Done(ticket, outcome));
        }
    }
}
