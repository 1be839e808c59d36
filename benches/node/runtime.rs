//! Another runtime with a container of its own, where it is installed and can work.
//!
//! Both that are known refuse a host with version 1 cgroups, so they get a mount and a cgroup namespace in which there is only
//! version 2.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, setns};
use podlife::linux::Process;
use serde_json::json;

pub(crate) struct Runtime {
    program: &'static str,
    directory: PathBuf,
    /// Holds the namespaces.
    holder: Child,
    namespaces: Process,
}

const NAME: &str = "podlife-bench";

impl Runtime {
    /// None, and a line that says why, if it is not there or cannot.
    pub(crate) fn start(program: &'static str) -> Option<Runtime> {
        let skipped = |why: &str| println!("  skipped: {program} exec: {why}");
        if Command::new(program).arg("--version").output().is_err() {
            skipped("it is not installed");
            return None;
        }
        if !nix::unistd::geteuid().is_root() {
            skipped("only root can make it a place");
            return None;
        }
        let runtime = Runtime::arrange(program);
        match runtime.run() {
            Ok(()) => Some(runtime),
            Err(why) => {
                skipped(&why);
                None
            }
        }
    }

    fn arrange(program: &'static str) -> Runtime {
        let directory =
            std::env::temp_dir().join(format!("{NAME}-{program}-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("rootfs")).unwrap();
        let script = format!(
            "mount -t cgroup2 none /sys/fs/cgroup && mount --bind / {}/rootfs && echo && exec sleep 100000",
            directory.display()
        );
        let mut holder = Command::new("unshare")
            .args(["--mount", "--cgroup", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = holder.stdout.take().unwrap();
        BufReader::new(output)
            .read_line(&mut String::new())
            .unwrap();
        let namespaces = Process::open(holder.id()).unwrap();
        Runtime {
            program,
            directory,
            holder,
            namespaces,
        }
    }

    /// The container of `<runtime> spec`, but that it stays.
    fn run(&self) -> Result<(), String> {
        self.call(&["spec"])?;
        let file = self.directory.join("config.json");
        let text = std::fs::read_to_string(&file).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        let process = &mut config["process"];
        process["terminal"] = json!(false);
        process["args"] = json!(["/bin/sleep", "100000"]);
        // Not everybody may raise them.
        process["rlimits"] = json!([]);
        std::fs::write(&file, config.to_string()).unwrap();
        self.call(&["run", "--detach", NAME])
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.program {
            "crun" => "crun exec",
            _ => "runc exec",
        }
    }

    pub(crate) fn exec(&self, program: &str) {
        self.call(&["exec", NAME, program]).unwrap();
    }

    fn call(&self, arguments: &[&str]) -> Result<(), String> {
        let namespaces = self.namespaces.as_fd().try_clone_to_owned().unwrap();
        let said = self.directory.join("said");
        let mut command = Command::new(self.program);
        command
            .arg("--root")
            .arg(self.directory.join("state"))
            // It would need to lock memory, which not every root may.
            .args((self.program == "crun").then_some("--cgroup-manager=disabled"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // No pipe: a container that stays would hold it open.
            .stderr(File::create(&said).unwrap());
        let directory = self.directory.clone();
        // SAFETY: two system calls, nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                let both = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWCGROUP;
                setns(&namespaces, both)?;
                nix::unistd::chdir(&directory)?;
                Ok(())
            });
        }
        match command.status().unwrap().success() {
            true => Ok(()),
            false => Err(std::fs::read_to_string(&said).unwrap_or_default()),
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = self.call(&["delete", "--force", NAME]);
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        // Never through a mount.
        if std::fs::remove_dir(self.directory.join("rootfs")).is_ok() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}
