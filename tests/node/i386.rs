//! 32-bit programs on x86_64 and the filter.
#![cfg(target_arch = "x86_64")]

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::Command;

use podlife::Node;
use podlife::node::{NodeOptions, Rootfs};
use serde_json::{Value, json};

use super::before;
use super::confined::{said, seccomp};
use super::hosted::{Hosted, shell, with};

/// Number, first three arguments, and what the kernel must answer.
type Call = (u32, [u32; 3], i32);

const EXIT: u32 = 1;
const CLOSE: u32 = 6;
const SOCKETCALL: u32 = 102;
const UNSHARE: u32 = 310;
const SOCKET: u32 = 359;
const CLONE3: u32 = 435;

/// Where the program is loaded. Its text, "ok\n", follows the head.
const BASE: u32 = 0x0804_8000;
const HEAD: u32 = 52 + 32;
const TEXT: &[u8; 4] = b"ok\n\0";

/// Makes the calls. If one is not answered as it must be, its place among them, from 1 on, is the exit code; else it says "ok".
fn code(calls: &[Call]) -> Vec<u8> {
    let write = (4, [1, BASE + HEAD, 3], 3);
    let exit = (EXIT, [0; 3], 0);
    let mut code = Vec::new();
    for (place, (number, arguments, answer)) in (1_u32..).zip(calls.iter().chain([&write, &exit])) {
        // mov eax, ebx, ecx, edx
        for (register, value) in [0xb8, 0xbb, 0xb9, 0xba]
            .iter()
            .zip([number].into_iter().chain(arguments))
        {
            code.push(*register);
            code.extend(value.to_le_bytes());
        }
        code.extend([0xcd, 0x80]); // int 0x80
        code.push(0x3d); // cmp eax
        code.extend(answer.to_le_bytes());
        code.extend([0x74, 12]); // je past the exit
        code.push(0xbb); // mov ebx
        code.extend(place.to_le_bytes());
        code.extend([0xb8, 1, 0, 0, 0, 0xcd, 0x80]); // exit
    }
    code
}

/// An ELF of 32 bits with one segment, the whole file.
fn elf(calls: &[Call]) -> Vec<u8> {
    let code = code(calls);
    let size = HEAD + (TEXT.len() + code.len()) as u32;
    let half = |value: u16| value.to_le_bytes().to_vec();
    let word = |value: u32| value.to_le_bytes().to_vec();
    let file = [
        b"\x7fELF\x01\x01\x01".to_vec(),
        vec![0; 9],
        [half(2), half(3), word(1)].concat(), // executable, 386, version
        word(BASE + HEAD + TEXT.len() as u32), // where it begins
        [word(52), word(0), word(0)].concat(),
        [half(52), half(32), half(1), half(0), half(0), half(0)].concat(),
        [word(1), word(0), word(BASE), word(BASE)].concat(), // load
        [word(size), word(size), word(5), word(0x1000)].concat(),
        TEXT.to_vec(),
        code,
    ];
    file.concat()
}

fn program(calls: &[Call]) -> File {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let mut file = File::from(memfd_create("i386", MFdFlags::MFD_CLOEXEC).unwrap());
    file.write_all(&elf(calls)).unwrap();
    file
}

/// What a container prints that runs the program, and its exit code.
fn ran(options: NodeOptions, context: Value, calls: &[Call]) -> String {
    let mut hosted = Hosted::with(|| {
        let rootfs = Rootfs::host().program("/run/i386", program(calls));
        before::open(options.rootfs("example.com/i386", rootfs))
    });
    let image = json!({ "image": "example.com/i386", "imagePullPolicy": "Never" });
    let main = with(shell("main", "/run/i386; echo $?"), image);
    let text = said(&mut hosted, with(main, context), json!({}));
    hosted.end();
    text
}

/// Where the kernel does not run them there is nothing to see.
fn runs_here() -> bool {
    let program = program(&[]);
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    match Command::new(path).output() {
        Ok(output) => {
            assert_eq!(output.stdout, b"ok\n");
            true
        }
        Err(error) => {
            println!("skipped: 32-bit programs: this kernel runs none: {error}");
            false
        }
    }
}

/// What a kernel answers that has no filter: each of these reaches it.
const FREE: [Call; 5] = [
    (UNSHARE, [0; 3], 0),
    (CLONE3, [0; 3], -libc::EINVAL),
    (SOCKETCALL, [1, 0, 0], -libc::EFAULT),
    (SOCKET, [1, 99, 0], -libc::EINVAL),
    (CLOSE, [999, 0, 0], -libc::EBADF),
];

#[test]
fn programs_of_32_bits_run_under_the_same_rules() {
    if !runs_here() {
        return;
    }
    assert_eq!(
        ran(Node::options(), seccomp("Unconfined"), &FREE),
        "ok\n0\n"
    );
    let confined: [Call; 7] = [
        (UNSHARE, [0; 3], -libc::EPERM),
        (CLONE3, [0; 3], -libc::ENOSYS),
        (SOCKETCALL, [1, 0, 0], -libc::EFAULT),
        (SOCKET, [1, 99, 0], -libc::EINVAL),
        (SOCKET, [38, 99, 0], -libc::EPERM),
        (SOCKET, [40, 99, 0], -libc::EPERM),
        (CLOSE, [999, 0, 0], -libc::EBADF),
    ];
    assert_eq!(
        ran(Node::options(), seccomp("RuntimeDefault"), &confined),
        "ok\n0\n"
    );
}

#[test]
fn a_profile_of_the_host_says_whether_programs_of_32_bits_run() {
    if !runs_here() {
        return;
    }
    let directory = std::env::temp_dir().join(format!("podlife-i386-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let calls: [Call; 2] = [(UNSHARE, [0; 3], 0), (CLOSE, [999, 0, 0], -libc::ENOTTY)];
    for (listed, text) in [
        (json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]), "ok\n0\n"),
        (
            json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"]),
            "Bad system call\n159\n",
        ),
    ] {
        let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": listed, "syscalls": [
            { "names": ["close"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOTTY,
              "args": [{ "index": 0, "value": 999, "op": "SCMP_CMP_EQ" }] } ] });
        std::fs::write(directory.join("listed.json"), profile.to_string()).unwrap();
        let chosen = json!({ "type": "Localhost", "localhostProfile": "listed.json" });
        let context = json!({ "securityContext": { "seccompProfile": chosen } });
        let options = Node::options().seccomp_profiles(&directory);
        let found = ran(options, context, &calls);
        assert!(found.ends_with(text), "{listed}: {found}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
