//! Processes by pidfd.

use std::process::Command;

use podlife::Kind;
use podlife::linux::process::{Exit, Process, Signal};
use podlife::linux::reactor::{Interest, Reactor, Token};

use crate::scratch::LONG;

#[test]
#[expect(clippy::zombie_processes, reason = "`reap` is what waits")]
fn a_death_by_a_realtime_signal_is_told_as_it_was() {
    let signal = Signal::new(40).unwrap();
    let child = Command::new("sleep").arg("600").spawn().unwrap();
    let process = Process::open(child.id()).unwrap();
    assert!(process.is_running().unwrap());
    assert_eq!(process.reap().unwrap(), None);
    assert!(process.signal(signal).unwrap());

    let mut reactor = Reactor::new().unwrap();
    reactor.add(&process, Interest::Read, Token(1)).unwrap();
    reactor.wait(Some(LONG), &mut Vec::new()).unwrap();
    assert!(!process.is_running().unwrap());
    assert!(
        process.pid().unwrap().is_some(),
        "a zombie has its number still"
    );
    assert_eq!(process.reap().unwrap(), Some(Exit::Signal(signal)));
    assert_eq!(process.pid().unwrap(), None);
    assert_eq!(process.identity().unwrap(), None);
    assert_eq!(process.reap().unwrap(), None);
    assert!(!process.signal(Signal::KILL).unwrap());
}

#[test]
#[expect(clippy::zombie_processes, reason = "`reap` is what waits")]
fn an_identity_is_not_taken_over() {
    let child = Command::new("true").spawn().unwrap();
    let process = Process::open(child.id()).unwrap();
    let identity = process.identity().unwrap().unwrap();
    let text = serde_json::to_string(&identity).unwrap();
    assert!(process.wait(Some(LONG)).unwrap());
    assert!(
        identity.open().unwrap().is_some(),
        "a zombie is still that process"
    );
    assert_eq!(process.reap().unwrap(), Some(Exit::Code(0)));
    let read: podlife::linux::process::Identity = serde_json::from_str(&text).unwrap();
    assert!(read.open().unwrap().is_none());
}

#[test]
fn a_number_nobody_has_is_not_found() {
    for pid in [0, u32::MAX, 1 << 30] {
        assert_eq!(
            Process::open(pid).unwrap_err().kind(),
            Kind::NotFound,
            "{pid}"
        );
    }
}
