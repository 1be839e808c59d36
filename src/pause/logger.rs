//! The logger: a child of pause that copies the containers' pipes to their log files.
//!
//! A write to a file system may block for ever, beyond even SIGKILL; so it is this process that writes, and pause that
//! goes on. It is pause's image, with nothing of pause's but a socket.

use crate::channel::{self, Received};
use crate::kernel::{self, EPOLLIN, Epoll, Errno, Event, Fd, Result};
use crate::line::{self, CONTENT_MAX, Stream, Tag};
use crate::slots::Slots;
use crate::tap::Taps;
use crate::wire::{Carried, Key, MESSAGE_SIZE, Report, Request};

/// As many as pause has entries.
const LOGS_MAX: usize = crate::entry::ENTRIES_MAX;
/// One byte more than a line, to know whether it goes on.
const BUFFER_SIZE: usize = CONTENT_MAX + 1;
const OUTPUT_SIZE: usize = 64 * 1024;
const SOCKET: i32 = 3;
const REQUESTS: u64 = u64::MAX;

/// Pause's end.
pub struct Client {
    /// 0 until it is started.
    pub pid: i32,
    pub socket: Fd,
    /// Its own end, until it is started.
    theirs: Option<Fd>,
}

impl Client {
    /// One that can be asked already, and answers when it is started.
    pub fn new() -> Result<Client> {
        let (socket, theirs) = kernel::seqpacket_pair()?;
        Ok(Client {
            pid: 0,
            socket,
            theirs: Some(theirs),
        })
    }

    pub fn start(&mut self) -> Result<()> {
        let Some(theirs) = self.theirs.take() else {
            return Ok(());
        };
        match kernel::fork(0, None)? {
            Some((pid, _pidfd)) => self.pid = pid,
            None => run(theirs),
        }
        Ok(())
    }

    /// The writing ends of new pipes for the streams wanted.
    pub fn copy(
        &self,
        key: Key,
        wanted: [bool; 2],
        file: &Fd,
        log_size: u64,
    ) -> Result<[Option<Fd>; 2]> {
        let mut writers = [None, None];
        let mut readers = [None, None];
        for stream in 0..2 {
            if wanted[stream] {
                let (reader, writer) = kernel::pipe()?;
                kernel::non_blocking(reader.raw())?;
                (readers[stream], writers[stream]) = (Some(reader), Some(writer));
            }
        }
        let mut carried = Carried(Carried::LOG);
        let mut fds = [file.raw(); 3];
        let mut count = 1;
        for (reader, bit) in readers
            .iter()
            .zip([Carried::LOG_STDOUT, Carried::LOG_STDERR])
        {
            if let Some(reader) = reader {
                carried.0 |= bit;
                fds[count] = reader.raw();
                count += 1;
            }
        }
        let request = Request::Start {
            key,
            join: None,
            carried,
            log_size,
        };
        channel::send(self.socket.raw(), &request.encode(), &fds[..count])?;
        Ok(writers)
    }

    /// Copies what a terminal shows.
    pub fn show(&self, key: Key, terminal: &Fd, file: &Fd, log_size: u64) -> Result<()> {
        let request = Request::Start {
            key,
            join: None,
            carried: Carried(Carried::LOG | Carried::LOG_STDOUT),
            log_size,
        };
        let fds = [file.raw(), terminal.raw()];
        channel::send(self.socket.raw(), &request.encode(), &fds)
    }

    /// Copies to these writing ends too what is printed from now on.
    pub fn attach(&self, key: Key, carried: Carried, received: &Received) -> Result<()> {
        let request = Request::Attach {
            ticket: 0,
            key,
            carried,
            once: false,
        };
        let mut fds = [0; 2];
        let mut count = 0;
        for (place, fd) in fds.iter_mut().zip(received.from(0)) {
            *place = fd;
            count += 1;
        }
        channel::send(self.socket.raw(), &request.encode(), &fds[..count])
    }

    pub fn rotate(&self, key: Key, file: &Fd) -> Result<()> {
        channel::send(
            self.socket.raw(),
            &Request::Rotate { key }.encode(),
            &[file.raw()],
        )
    }
}

fn run(socket: Fd) -> ! {
    let prepared = kernel::dup3(socket.raw(), SOCKET, kernel::O_CLOEXEC);
    if prepared.is_err() && socket.raw() != SOCKET {
        kernel::exit(1);
    }
    core::mem::forget(socket);
    kernel::close_from(SOCKET + 1);
    let _ = kernel::set_name(c"podlife-logger");
    match Logger::new() {
        Ok(logger) => logger.run(),
        Err(_) => kernel::exit(1),
    }
}

/// The log of one process.
struct Log {
    key: Key,
    sink: Sink,
    pipes: [Option<Pipe>; 2],
    /// Those who have attached to each stream.
    taps: [Taps; 2],
}

/// The file of a log.
struct Sink {
    file: Fd,
    /// Bytes of content that could not be written.
    dropped: u64,
    /// The file ends in the middle of a line.
    torn: bool,
    /// After so many bytes the Node is told; 0 is never.
    size: u64,
    /// Since it was told last, or the file is new.
    written: u64,
}

/// One stream, and what of it is not yet a line.
struct Pipe {
    fd: Fd,
    buffer: &'static mut [u8],
    filled: usize,
}

struct Logger {
    epoll: Epoll,
    logs: Slots<Log>,
    output: Lines,
    /// Pause is gone: the end comes with the last pipe's.
    orphan: bool,
}

impl Logger {
    fn new() -> Result<Logger> {
        let epoll = Epoll::new()?;
        epoll.add(SOCKET, EPOLLIN, REQUESTS)?;
        let output = Lines {
            memory: kernel::map(-1, OUTPUT_SIZE)?,
            used: 0,
            content: 0,
        };
        Ok(Logger {
            epoll,
            logs: Slots::new(LOGS_MAX)?,
            output,
            orphan: false,
        })
    }

    fn run(mut self) -> ! {
        let mut events = [Event::default(); 16];
        loop {
            let count = self.epoll.wait(&mut events);
            for event in &events[..count] {
                match event.token {
                    REQUESTS => self.requests(),
                    token => self.read((token / 2) as usize, (token % 2) as usize),
                }
            }
            if self.orphan && self.logs.position(|_| true).is_none() {
                kernel::exit(0);
            }
        }
    }

    fn requests(&mut self) {
        while !self.orphan && self.request() {}
    }

    /// Takes one request; false if there is none.
    fn request(&mut self) -> bool {
        let mut bytes = [0; MESSAGE_SIZE];
        let (size, mut received) = match channel::receive(SOCKET, &mut bytes) {
            Ok(message) => message,
            Err(_) => return false,
        };
        if size == 0 {
            self.epoll.remove(SOCKET);
            self.orphan = true;
            return false;
        }
        match (Request::decode(&bytes[..size]), received.take(0)) {
            (
                Ok(Request::Start {
                    key,
                    carried,
                    log_size,
                    ..
                }),
                Some(file),
            ) => {
                let mut next = 0;
                let pipes = [Carried::LOG_STDOUT, Carried::LOG_STDERR].map(|bit| {
                    next += usize::from(carried.has(bit));
                    if carried.has(bit) {
                        received.take(next)
                    } else {
                        None
                    }
                });
                let sink = Sink {
                    file,
                    dropped: 0,
                    torn: false,
                    size: log_size,
                    written: 0,
                };
                self.add(key, sink, pipes);
            }
            (Ok(Request::Rotate { key }), Some(file)) => self.rotate(key, file),
            (Ok(Request::Attach { key, carried, .. }), Some(first)) => {
                self.attach(key, carried, [Some(first), received.take(1)]);
            }
            _ => {}
        }
        true
    }

    fn add(&mut self, key: Key, sink: Sink, pipes: [Option<Fd>; 2]) {
        let Some(index) = self.logs.vacant() else {
            return tell(Report::OutputEnded {
                key,
                complete: false,
            });
        };
        let mut stream = 0;
        let pipes = pipes.map(|fd| {
            let token = (2 * index + stream) as u64;
            stream += 1;
            let (fd, buffer) = (fd?, kernel::map(-1, BUFFER_SIZE).ok()?);
            self.epoll.add(fd.raw(), EPOLLIN, token).ok()?;
            Some(Pipe {
                fd,
                buffer,
                filled: 0,
            })
        });
        self.logs.put(
            index,
            Log {
                key,
                sink,
                pipes,
                taps: [const { Taps::NONE }; 2],
            },
        );
        self.close_if_ended(index);
    }

    fn rotate(&mut self, key: Key, file: Fd) {
        if let Some(log) = self.logs.iter_mut().find(|log| log.key == key) {
            log.sink.file = file;
            log.sink.torn = false;
            log.sink.written = 0;
        }
        tell(Report::Rotated { key });
    }

    fn attach(&mut self, key: Key, carried: Carried, fds: [Option<Fd>; 2]) {
        let Some(log) = self.logs.iter_mut().find(|log| log.key == key) else {
            return;
        };
        let bits = [Carried::STDOUT, Carried::STDERR];
        let wanted = log.taps.iter_mut().zip(bits);
        let wanted = wanted.filter(|(_, bit)| carried.has(*bit));
        for ((taps, _), fd) in wanted.zip(fds.into_iter().flatten()) {
            taps.add(fd);
        }
    }

    /// One read of one pipe, so that a flood in one does not keep the others waiting.
    fn read(&mut self, index: usize, stream: usize) {
        let Some(log) = self.logs.at(index) else {
            return;
        };
        let Some(pipe) = &mut log.pipes[stream] else {
            return;
        };
        let read = kernel::read(pipe.fd.raw(), &mut pipe.buffer[pipe.filled..]);
        // Who attached before this was printed sees it.
        self.requests();
        let Some(log) = self.logs.at(index) else {
            return;
        };
        let Some(pipe) = &mut log.pipes[stream] else {
            return;
        };
        let which = if stream == 0 {
            Stream::Stdout
        } else {
            Stream::Stderr
        };
        let wall = kernel::now().wall;
        // Once for all lines of it: a time takes longer to write than a line to copy.
        let prefix = |tag| line::prefix(wall, which, tag);
        let prefixes = [prefix(Tag::Full), prefix(Tag::Partial)];
        match read {
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            // A terminal that nobody has open any more fails to be read.
            Ok(0) | Err(_) => {
                self.epoll.remove(pipe.fd.raw());
                log.taps[stream] = Taps::NONE;
                let Some(pipe) = log.pipes[stream].take() else {
                    return;
                };
                if pipe.filled > 0 {
                    self.output
                        .add(&prefixes, Tag::Partial, &pipe.buffer[..pipe.filled]);
                }
                kernel::unmap(pipe.buffer);
            }
            Ok(size) => {
                log.taps[stream].give(&pipe.buffer[pipe.filled..pipe.filled + size]);
                pipe.filled += size;
                pipe.filled = split(pipe.buffer, pipe.filled, |tag, content| {
                    if !self.output.has_room(content) {
                        log.sink.write_out(&mut self.output, wall);
                    }
                    self.output.add(&prefixes, tag, content);
                });
            }
        }
        log.sink.write_out(&mut self.output, wall);
        if log.sink.is_full() {
            tell(Report::LogFull { key: log.key });
        }
        self.close_if_ended(index);
    }

    fn close_if_ended(&mut self, index: usize) {
        let ended = |log: &mut Log| log.pipes.iter().all(Option::is_none);
        if let Some(log) = self.logs.take_if(index, ended) {
            let key = log.key;
            drop(log);
            tell(Report::OutputEnded {
                key,
                complete: true,
            });
        }
    }
}

/// Gives out the lines in `buffer`, moves what is left to its start and says how much that is.
fn split(buffer: &mut [u8], filled: usize, mut give: impl FnMut(Tag, &[u8])) -> usize {
    let mut start = 0;
    loop {
        let rest = &buffer[start..filled];
        if let Some(size) = line::end(rest) {
            give(Tag::Full, &rest[..size]);
            start += size + 1;
        } else if rest.len() > CONTENT_MAX {
            give(Tag::Partial, &rest[..CONTENT_MAX]);
            start += CONTENT_MAX;
        } else {
            break;
        }
    }
    buffer.copy_within(start..filled, 0);
    filled - start
}

/// Lines waiting to be written together.
struct Lines {
    memory: &'static mut [u8],
    used: usize,
    content: u64,
}

impl Lines {
    fn has_room(&self, content: &[u8]) -> bool {
        self.used + line::PREFIX_SIZE + content.len() < self.memory.len()
    }

    fn add(&mut self, prefixes: &[[u8; line::PREFIX_SIZE]; 2], tag: Tag, content: &[u8]) {
        self.put(&prefixes[usize::from(tag == Tag::Partial)]);
        self.put(content);
        self.put(b"\n");
        self.content += content.len() as u64 + u64::from(tag == Tag::Full);
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        if let Some(place) = self.memory.get_mut(self.used..end) {
            place.copy_from_slice(bytes);
            self.used = end;
        }
    }
}

impl Sink {
    /// Writes the lines. What finds no space is counted, and told in a line of its own when there is space again.
    fn write_out(&mut self, lines: &mut Lines, wall: i64) {
        if self.dropped > 0 && self.note(wall) {
            self.dropped = 0;
        }
        if lines.used > 0 && (self.dropped > 0 || !self.put(&lines.memory[..lines.used])) {
            self.dropped += lines.content;
        }
        lines.used = 0;
        lines.content = 0;
    }

    /// True once for each piece of that size.
    fn is_full(&mut self) -> bool {
        let full = self.size > 0 && self.written >= self.size;
        if full {
            self.written = 0;
        }
        full
    }

    /// All of it or not; what stood there before is ended first if it was cut off.
    fn put(&mut self, bytes: &[u8]) -> bool {
        if self.torn && kernel::write(self.file.raw(), b"\n") != Ok(1) {
            return false;
        }
        self.torn = false;
        let mut left = bytes;
        while !left.is_empty() {
            match kernel::write(self.file.raw(), left) {
                Ok(written) => left = &left[written..],
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        self.written += (bytes.len() - left.len()) as u64;
        self.torn = !left.is_empty() && left.len() < bytes.len();
        left.is_empty()
    }

    fn note(&mut self, wall: i64) -> bool {
        let prefix = line::prefix(wall, Stream::Stderr, Tag::Full);
        let mut text = [0; line::NOTE_SIZE];
        let why = b"the log could not be written\n";
        let note = line::note(&mut text, &prefix, self.dropped, why);
        self.put(note)
    }
}

/// Pause always reads; if it is gone, nobody wants to know.
fn tell(report: Report) {
    while channel::send(SOCKET, &report.encode(), &[]) == Err(Errno::EAGAIN) {
        kernel::yield_now();
    }
}
