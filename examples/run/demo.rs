//! What runs inside the example pods: a small server, a client, and both ends of a log file.
//!
//! It is the example's own executable under another name, so there is no image to build.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{self, ExitCode};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

const USAGE: &str = "usage: demo serve PORT [SECONDS]      answer HTTP on PORT, after SECONDS
       demo client HOST:PORT [SECONDS] ask it every SECONDS, print the answer
       demo tcp-server PORT            answer PONG to every line
       demo write-log FILE LINES       append a line every fifth of a second
       demo ship-log FILE              print FILE as it grows";

type Outcome = Result<(), Box<dyn Error>>;

/// Runs the subcommand in `args` (without the program's name).
pub(crate) fn main(args: &[String]) -> ExitCode {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["serve", port] => serve(port, "0"),
        ["serve", port, seconds] => serve(port, seconds),
        ["client", server] => client(server, "1"),
        ["client", server, seconds] => client(server, seconds),
        ["tcp-server", port] => tcp_server(port),
        ["write-log", file, lines] => write_log(file, lines),
        ["ship-log", file] => ship_log(file),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: &str, seconds: &str) -> Outcome {
    exit_on_term()?;
    thread::sleep(Duration::from_secs(parse("SECONDS", seconds)?));
    let listener = TcpListener::bind(("0.0.0.0", parse("PORT", port)?))?;
    let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
    println!("serving on port {port}");
    for number in 1_u64.. {
        let (stream, _) = listener.accept()?;
        // A client that hangs up half-way is its own problem.
        answer(stream, &format!("answer {number} from {}", host.trim())).ok();
    }
    Ok(())
}

fn answer(mut stream: TcpStream, text: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let lines = BufReader::new(&stream).lines();
    // The request ends with an empty line.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let length = text.len() + 1;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}\n"
    )
}

fn client(server: &str, seconds: &str) -> Outcome {
    exit_on_term()?;
    let interval = Duration::from_secs_f64(parse("SECONDS", seconds)?);
    loop {
        match ask(server) {
            Ok(answer) => println!("{answer}"),
            Err(why) => println!("{server}: {why}"),
        }
        thread::sleep(interval);
    }
}

fn ask(server: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(body.trim_end().to_string())
}

fn tcp_server(port: &str) -> Outcome {
    exit_on_term()?;
    let listener = TcpListener::bind(("0.0.0.0", parse("PORT", port)?))?;
    println!("listening on port {port}");
    for stream in listener.incoming() {
        let mut stream = stream?;
        thread::spawn(move || -> io::Result<()> {
            for line in BufReader::new(stream.try_clone()?).lines() {
                line?;
                stream.write_all(b"+PONG\r\n")?;
            }
            Ok(())
        });
    }
    Ok(())
}

fn write_log(file: &str, lines: &str) -> Outcome {
    let mut log = OpenOptions::new().create(true).append(true).open(file)?;
    for number in 1..=parse::<u32>("LINES", lines)? {
        writeln!(log, "line {number}")?;
        thread::sleep(Duration::from_millis(200));
    }
    println!("wrote {lines} lines to {file}");
    Ok(())
}

/// Told to stop, it first ships what is left.
fn ship_log(file: &str) -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&stop))?;
    let mut log = None;
    loop {
        let last = stop.load(Ordering::SeqCst);
        if log.is_none() {
            log = File::open(file).ok();
        }
        if let Some(log) = &mut log {
            io::copy(log, &mut io::stdout())?;
        }
        if last {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// PID 1 of a PID namespace gets no default action for SIGTERM, so a polite program handles it.
fn exit_on_term() -> Outcome {
    let mut signals = Signals::new([SIGTERM])?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            println!("SIGTERM: goodbye");
            process::exit(0);
        }
    });
    Ok(())
}

fn parse<T: FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{name} must be a number, not {text:?}\n{USAGE}"))
}
