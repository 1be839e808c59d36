//! What pods' machines tell, as events with what only the Node knows.

use std::sync::Arc;

use super::event::{ContainerEvent, EventKind, StoreEvent};
use super::host::Host;
use super::resident::Resident;
use super::work::Purpose;
use crate::lifecycle::{
    AttemptState, Change, ContainerChange, ContainerIndex, Exit, SandboxChange,
};
use crate::model::{ConditionStatus, ContainerStatus};

impl Resident {
    /// Tells everybody. True if nothing is left of the pod.
    pub(super) fn notify(&mut self, host: &mut Host, change: Change) -> bool {
        let kind = match change {
            Change::Phase => self.machine.status().phase.clone().map(EventKind::Phase),
            Change::Condition(place) => self.condition(place),
            Change::Sandbox { change, .. } => {
                let failed = match change {
                    SandboxChange::Failed => self.sandbox_error.take(),
                    _ => None,
                };
                Some(failed.unwrap_or(EventKind::Sandbox(change, None)))
            }
            Change::Container {
                container,
                attempt,
                change,
            } => self.container_event(container, attempt, change),
            Change::Resize(change) => Some(EventKind::Resize(change, self.resize_text(change))),
            Change::Terminating(cause) => Some(EventKind::Terminating(cause)),
            Change::Terminated => {
                host.release(self.id);
                Some(EventKind::Terminated)
            }
            Change::StoreFailed => Some(EventKind::Store(StoreEvent::Failed)),
            Change::StoreRecovered => Some(EventKind::Store(StoreEvent::Recovered)),
            Change::Restored => Some(EventKind::Restored),
            // Told when it is true: when the Node has let go of everything.
            Change::Deleted => return true,
        };
        if let Some(kind) = kind {
            self.say(host, kind);
        }
        false
    }

    /// Tells everybody something about this pod, and keeps it.
    pub(super) fn say(&mut self, host: &mut Host, kind: EventKind) {
        let event = host.tell(self.id, &self.name, kind);
        self.events.push(event);
    }

    fn condition(&self, place: u8) -> Option<EventKind> {
        let condition = self.machine.status().conditions.get(usize::from(place))?;
        Some(EventKind::Condition(
            condition.type_.clone(),
            condition.status == ConditionStatus::True,
        ))
    }

    fn container_event(
        &self,
        index: ContainerIndex,
        attempt: u32,
        change: ContainerChange,
    ) -> Option<EventKind> {
        let site = self.sites.get(index.as_usize())?;
        let detail = match change {
            ContainerChange::PullFailed | ContainerChange::StartFailed => {
                self.waiting_message(&site.name)
            }
            ContainerChange::Exited => self.exit(index, attempt).map(how_it_ended),
            ContainerChange::Unhealthy(probe) | ContainerChange::ProbeErrored(probe) => {
                self.said.get(&(index, Purpose::Probe(probe))).cloned()
            }
            ContainerChange::HookFailed(hook) => {
                self.said.get(&(index, Purpose::Hook(hook))).cloned()
            }
            _ => None,
        };
        let exit_code = match change {
            ContainerChange::Exited => self.exit(index, attempt).map(|exit| exit.code),
            _ => None,
        };
        let (container, image) = (site.name.clone(), site.image.clone());
        Some(EventKind::Container(ContainerEvent {
            container,
            image,
            attempt,
            change,
            exit_code,
            detail,
        }))
    }

    fn waiting_message(&self, name: &str) -> Option<Arc<str>> {
        let index = self.machine.record().index(name)?;
        if let Some(error) = self.machine.record().container(index)?.start_error() {
            return Some(error.message.clone());
        }
        let status = self.container_status(name)?;
        status
            .state
            .as_ref()?
            .waiting
            .as_ref()?
            .message
            .as_deref()
            .map(Arc::from)
    }

    fn exit(&self, index: ContainerIndex, attempt: u32) -> Option<&Exit> {
        let attempts = self.machine.record().container(index)?.attempts();
        let attempt = attempts.iter().find(|known| known.number == attempt)?;
        match &attempt.state {
            AttemptState::Exited(exit) => Some(exit),
            _ => None,
        }
    }

    fn container_status(&self, name: &str) -> Option<&ContainerStatus> {
        let status = self.machine.status();
        let mut all = status
            .container_statuses
            .iter()
            .chain(&status.init_container_statuses);
        all.find(|status| status.name == name)
    }

    /// Nothing is left of the pod: lets go of everything, and says so.
    pub(super) fn leave(mut self, host: &mut Host) {
        host.release(self.id);
        if self.sandbox.is_some() {
            self.drop_sandbox(host);
        }
        if let Some(state) = &host.state {
            let _ = super::store::remove_tree(&state.logs(self.id, &self.name));
        }
        if let Some(files) = self.files.take() {
            // What cannot be removed now has no record any more: the next Node removes it.
            let _ = files.remove();
        }
        host.tell(self.id, &self.name, EventKind::Deleted);
    }
}

fn how_it_ended(exit: &Exit) -> Arc<str> {
    match exit.signal {
        Some(signal) => format!("{}, killed by signal {signal}", exit.reason).into(),
        None => format!("{}, exit code {}", exit.reason, exit.code).into(),
    }
}
