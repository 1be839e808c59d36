//! The walker: does a plan's steps one after another, without allocating.

use crate::credentials;
use crate::files::{self, Root};
use crate::flat::{HEADER_SIZE, Header, NO_HANDLE, Op, Record};
use crate::kernel::{self, Errno, Fd, Result, Text};
use crate::mounts;
use crate::terminal;
use crate::wire::Failure;

/// A plan in our memory.
pub struct Plan {
    pub header: Header,
    records: &'static [u8],
    /// So many steps were taken out already.
    done: u32,
}

/// The plan's first bytes, without mapping it.
pub fn header(fd: i32) -> Result<Header> {
    let mut bytes = [0; HEADER_SIZE];
    match kernel::pread(fd, &mut bytes, 0)? {
        HEADER_SIZE => Header::decode(&bytes).ok_or(Errno::EPROTO),
        _ => Err(Errno::EPROTO),
    }
}

/// Maps it. The Node sealed it, so that nobody can cut it short under us.
pub fn plan(fd: i32) -> core::result::Result<Plan, Failure> {
    let failed = |errno: Errno| Failure {
        step: Failure::PLAN,
        errno: errno.0,
    };
    let header = header(fd).map_err(failed)?;
    let bytes = kernel::map(fd, header.size as usize).map_err(failed)?;
    let records = bytes.get(HEADER_SIZE..).ok_or(failed(Errno::EPROTO))?;
    Ok(Plan {
        header,
        records,
        done: 0,
    })
}

impl Plan {
    /// Sets the score if that is the first step: before the namespaces of a container are joined, for its `/proc` may not be
    /// what it seems.
    pub fn score(&mut self) -> core::result::Result<(), Failure> {
        let Some((record, rest)) = Record::decode(self.records) else {
            return Ok(());
        };
        if record.op == Op::OomScoreAdj {
            oom_score_adj(&record).map_err(|errno| Failure {
                step: self.done,
                errno: errno.0,
            })?;
            self.records = rest;
            self.done += 1;
        }
        Ok(())
    }
}

/// What a walk knows between steps.
pub struct Walk {
    handles: i32,
    handle_count: u16,
    root: Option<Fd>,
    /// What hides directories, once it is mounted.
    pub empty: Option<Fd>,
    umask: u32,
    report: Option<i32>,
}

/// A record's string, as the kernel wants it.
pub fn text<'a>(record: &Record<'a>, index: usize) -> Result<Text<'a>> {
    let bytes = record.text[index];
    // SAFETY: `Record::decode` has seen the NUL behind it, in the same memory.
    let with_nul = unsafe { core::slice::from_raw_parts(bytes.as_ptr(), bytes.len() + 1) };
    Text::new(with_nul).ok_or(Errno::EINVAL)
}

impl Walk {
    /// A walk whose handles are the descriptors from `handles` on.
    pub fn new(handles: i32, handle_count: u32) -> Walk {
        Walk {
            handles,
            handle_count: handle_count as u16,
            root: None,
            empty: None,
            umask: 0o022,
            report: None,
        }
    }

    /// The same, telling this pipe when the program is about to be executed, and if it cannot.
    #[must_use]
    pub fn reporting(self, pipe: i32) -> Walk {
        Walk {
            report: Some(pipe),
            ..self
        }
    }

    pub fn root(&self) -> Root {
        self.root
            .as_ref()
            .map_or(Root::OWN, |root| Root::at(root.raw()))
    }

    pub fn enter(&mut self, root: Fd) {
        self.root = Some(root);
    }

    pub fn leave(&mut self) -> Option<Fd> {
        self.root.take()
    }

    pub fn handle(&self, handle: u16) -> Result<i32> {
        if handle < self.handle_count {
            Ok(self.handles + i32::from(handle))
        } else {
            Err(Errno::EBADF)
        }
    }

    /// Does all of it. Returns only if it fails, or if the last step executes nothing.
    pub fn all(mut self, plan: &Plan) -> core::result::Result<(), Failure> {
        let mut rest = plan.records;
        for step in plan.done..plan.header.steps {
            let failed = |errno: Errno| Failure {
                step,
                errno: errno.0,
            };
            let (record, after) = Record::decode(rest).ok_or(Failure {
                step: Failure::PLAN,
                errno: Errno::EPROTO.0,
            })?;
            self.step(&record).map_err(failed)?;
            rest = after;
        }
        Ok(())
    }

    fn step(&mut self, record: &Record<'_>) -> Result<()> {
        match record.op {
            Op::Propagation => mounts::propagation(record),
            Op::Root => mounts::root(self, record),
            Op::Bind => mounts::bind(self, record),
            Op::Filesystem => mounts::filesystem(self, record),
            Op::Attributes => mounts::attributes(self, record),
            Op::Mask => mounts::mask(self, record),
            Op::ReadOnly => mounts::read_only(self, record),
            Op::Pivot => mounts::pivot(self),
            Op::Directory => self.directory(record),
            Op::Symlink => self.symlink(record),
            Op::Device => self.device(record),
            Op::File => self.file(record),
            Op::Copy => self.copy(record),
            Op::Owner => self.owner(record),
            Op::Chdir => chdir(text(record, 0)?),
            Op::Kernel => write_to_kernel(text(record, 0)?, record.text[1]),
            Op::OomScoreAdj => oom_score_adj(record),
            Op::Exec => self.execute(record),
            Op::Reap => self.reap(),
            _ => self.process_step(record),
        }
    }

    fn process_step(&mut self, record: &Record<'_>) -> Result<()> {
        let [a, b, c] = record.number;
        match record.op {
            Op::Namespace => self.namespace(record),
            Op::Hostname => kernel::sethostname(record.text[0]),
            Op::Domainname => kernel::setdomainname(record.text[0]),
            Op::Loopback => kernel::loopback_up(),
            Op::Rlimit => kernel::prlimit(a as u32, b, c),
            Op::Nice => kernel::nice(a as i32),
            Op::Affinity => kernel::all_processors(),
            Op::Umask => {
                self.umask = a as u32;
                Ok(())
            }
            Op::Subreaper => credentials::subreaper(),
            Op::ParentDeath => credentials::die_with_parent(),
            Op::Terminal => terminal::open([a, b, c], self.report),
            Op::OwnStreams => own_streams(a as u32, b as u32),
            Op::Groups => kernel::setgroups(record.text[0]),
            Op::Gid => kernel::setresgid(a as u32),
            Op::Uid => credentials::uid(a as u32),
            Op::Bounding => credentials::bounding(a),
            Op::Capabilities => credentials::capabilities([a, b, c]),
            Op::Ambient => credentials::ambient(a),
            Op::NoNewPrivileges => credentials::no_new_privileges(),
            Op::Seccomp => kernel::seccomp(a as u32, record.text[0]),
            _ => Err(Errno::EINVAL),
        }
    }

    /// One that is given, or a new one.
    fn namespace(&self, record: &Record<'_>) -> Result<()> {
        let kind = record.number[0] as u32;
        if record.handle != NO_HANDLE {
            kernel::setns(self.handle(record.handle)?, kind)?;
            // The kernel has set it as the sysctl fs.suid_dumpable says, if that was another user namespace.
            return kernel::set_dumpable(false);
        }
        kernel::unshare(kind)?;
        // The clocks of a time namespace can be set as long as nobody is in it.
        match record.text[0] {
            [] => Ok(()),
            clocks => write_to_kernel(c"/proc/self/timens_offsets".into(), clocks),
        }
    }

    fn directory(&self, record: &Record<'_>) -> Result<()> {
        self.root()
            .directory(text(record, 0)?, record.number[0] as u32)
            .map(drop)
    }

    fn symlink(&self, record: &Record<'_>) -> Result<()> {
        let to = text(record, 1)?;
        self.root().in_directory(text(record, 0)?, |parent, name| {
            kernel::symlinkat(to, parent, name)
        })
    }

    fn device(&self, record: &Record<'_>) -> Result<()> {
        const S_IFCHR: u32 = 0o020000;
        let [mode, major, minor] = record.number;
        let device = (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12;
        self.root().in_directory(text(record, 0)?, |parent, name| {
            kernel::mknodat(parent, name, S_IFCHR | mode as u32, device)
        })
    }

    fn file(&self, record: &Record<'_>) -> Result<()> {
        let file = self
            .root()
            .create(text(record, 0)?, record.number[0] as u32)?;
        files::write_all(file.raw(), record.text[1])
    }

    fn copy(&self, record: &Record<'_>) -> Result<()> {
        let from = self.handle(record.handle)?;
        let file = self
            .root()
            .create(text(record, 0)?, record.number[0] as u32)?;
        files::copy(from, file.raw())
    }

    fn owner(&self, record: &Record<'_>) -> Result<()> {
        let [mode, uid, gid] = record.number;
        self.root().in_directory(text(record, 0)?, |parent, name| {
            // By descriptor: following a link here would give away what it points to.
            let flags = kernel::O_NOFOLLOW | kernel::O_NONBLOCK;
            let file = kernel::openat2(parent, name, flags, 0, 0)?;
            kernel::fchown(file.raw(), uid as u32, gid as u32)?;
            kernel::fchmod(file.raw(), mode as u32)
        })
    }

    /// Tells that the plan is done and the rest is up to `execve`, once pause has let us go.
    fn ready(&self) -> Result<()> {
        kernel::umask(self.umask);
        let Some(pipe) = self.report else {
            return Ok(());
        };
        match kernel::read(pipe, &mut [0; 1])? {
            0 => Err(Errno::EPIPE),
            _ => kernel::write(pipe, &[0; 8]).map(drop),
        }
    }

    /// The candidates in order, as `execvp` does: one that may not be executed is remembered, others may still do.
    fn execute(&self, record: &Record<'_>) -> Result<()> {
        let argv = pointers(record.text[1])?;
        let env = pointers(record.text[2])?;
        self.ready()?;
        let mut denied = Errno::ENOENT;
        for candidate in words(record.text[0]) {
            match kernel::execve(candidate, argv, env) {
                Errno::ENOENT | Errno::ENOTDIR => {}
                Errno::EACCES => denied = Errno::EACCES,
                errno => return Err(errno),
            }
        }
        Err(denied)
    }

    /// PID 1 of a namespace that others join: holds nothing and takes the orphans' statuses.
    fn reap(&self) -> Result<()> {
        self.ready()?;
        // Without capabilities it is weaker than any container's root: nothing but this keeps that one out.
        kernel::set_dumpable(false)?;
        kernel::set_name(c"podlife-reaper")?;
        kernel::close_from(0);
        kernel::block_all_signals()?;
        loop {
            while kernel::reap().is_some() {}
            kernel::wait_for_child_signal();
        }
    }
}

/// Words one after another, each with its NUL.
fn words(bytes: &[u8]) -> impl Iterator<Item = Text<'_>> {
    bytes
        .split_inclusive(|byte| *byte == 0)
        .filter_map(Text::new)
}

/// A NULL-terminated array of pointers to the words.
fn pointers(bytes: &'_ [u8]) -> Result<&'static [usize]> {
    let count = words(bytes).count() + 1;
    let memory = kernel::map(-1, count * size_of::<usize>())?;
    // SAFETY: fresh, page-aligned, of that size, and zero, as NULL is.
    let pointers =
        unsafe { core::slice::from_raw_parts_mut(memory.as_mut_ptr().cast::<usize>(), count) };
    for (place, word) in pointers.iter_mut().zip(words(bytes)) {
        *place = word.bytes().as_ptr() as usize;
    }
    Ok(pointers)
}

/// Never one outside of the root, whatever `/proc/self/fd/<n>` leads to.
fn chdir(path: Text<'_>) -> Result<()> {
    kernel::chdir(path)?;
    if kernel::is_at_home()? {
        Ok(())
    } else {
        Err(Errno::EACCES)
    }
}

/// Writes to a file below `/proc` that is the kernel's own: what is mounted over it would take the value elsewhere.
fn write_to_kernel(path: Text<'_>, value: &[u8]) -> Result<()> {
    let proc = Root::OWN.open(c"/proc".into(), kernel::O_PATH | kernel::O_DIRECTORY, 0)?;
    if !kernel::is_proc(proc.raw())? {
        return Err(Errno::EXDEV);
    }
    let inner = path.after(b"/proc/").ok_or(Errno::EINVAL)?;
    let resolve = kernel::RESOLVE_BENEATH | kernel::RESOLVE_NO_XDEV | kernel::RESOLVE_NO_MAGICLINKS;
    let file = kernel::openat2(proc.raw(), inner, kernel::O_WRONLY, 0, resolve)?;
    kernel::write(file.raw(), value).map(drop)
}

fn oom_score_adj(record: &Record<'_>) -> Result<()> {
    let (score, required) = (record.number[0] as i64 as i32, record.number[1] != 0);
    let mut digits = [0; 8];
    let size = decimal(score, &mut digits);
    match write_to_kernel(c"/proc/self/oom_score_adj".into(), &digits[..size]) {
        Err(Errno::EACCES | Errno::EPERM) if !required => Ok(()),
        done => done,
    }
}

/// The text of a small number.
fn decimal(number: i32, digits: &mut [u8; 8]) -> usize {
    let mut rest = number.unsigned_abs().min(999_999);
    let mut scale = 100_000;
    let mut size = 0;
    if number < 0 {
        digits[0] = b'-';
        size = 1;
    }
    while scale > 0 {
        if rest / scale > 0 || scale == 1 || (size > 0 && digits[size - 1] != b'-') {
            digits[size] = b'0' + (rest / scale) as u8;
            size += 1;
        }
        rest %= scale;
        scale /= 10;
    }
    size
}

/// Pipes and terminals only: `/dev/null` is everybody's, files have owners of their own.
fn own_streams(uid: u32, gid: u32) -> Result<()> {
    const S_IFMT: u32 = 0o170000;
    const S_IFIFO: u32 = 0o010000;
    for fd in 0..3 {
        if kernel::mode(fd)? & S_IFMT == S_IFIFO {
            kernel::fchown(fd, uid, gid)?;
        }
    }
    Ok(())
}
