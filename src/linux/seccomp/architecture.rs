//! Whose numbers system calls have.

/// A kind of programs: it decides which number means which system call, and how wide its arguments are.
///
/// ```
/// use podlife::linux::Capabilities;
/// use podlife::linux::seccomp::{Action, Architecture, Profile};
///
/// # if Architecture::NATIVE == Architecture::X86_64 {
/// let profile = Profile::runtime_default(Capabilities::CONTAINER);
/// assert_eq!(profile.answer_on(Architecture::I386, "mmap2", [0; 6]), Action::Allow);
/// assert_eq!(profile.answer_on(Architecture::I386, "mount", [0; 6]), Action::Errno(1)); // EPERM
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// 64-bit programs on x86_64.
    X86_64,
    /// 32-bit programs on x86_64, where the kernel runs them (`CONFIG_IA32_EMULATION`). Any 64-bit program can make their calls, too.
    I386,
    /// 64-bit programs on aarch64. Its 32-bit ones are not known here.
    Aarch64,
}

impl Architecture {
    /// What this is compiled for.
    pub const NATIVE: Architecture = if cfg!(target_arch = "x86_64") {
        Architecture::X86_64
    } else {
        Architecture::Aarch64
    };

    pub(super) const ALL: [Architecture; 3] = [
        Architecture::X86_64,
        Architecture::I386,
        Architecture::Aarch64,
    ];

    /// Whether programs of this kind can run where this is compiled for.
    pub(super) fn runs_here(self) -> bool {
        self == Self::NATIVE || (self, Self::NATIVE) == (Self::I386, Self::X86_64)
    }

    /// `AUDIT_ARCH_*`
    pub(super) const fn audit(self) -> u32 {
        match self {
            Architecture::X86_64 => 0xc000_003e,
            Architecture::I386 => 0x4000_0003,
            Architecture::Aarch64 => 0xc000_00b7,
        }
    }

    /// As the OCI runtime specification calls it.
    pub(super) fn oci(self) -> &'static str {
        match self {
            Architecture::X86_64 => "SCMP_ARCH_X86_64",
            Architecture::I386 => "SCMP_ARCH_X86",
            Architecture::Aarch64 => "SCMP_ARCH_AARCH64",
        }
    }

    pub(super) fn is_32_bit(self) -> bool {
        self == Architecture::I386
    }

    /// What counts of an argument, and of what it is compared with. Of a 32-bit call the kernel takes the lower half, and a
    /// 64-bit program that makes one can put anything into the upper.
    pub(super) fn width(self) -> u64 {
        if self.is_32_bit() {
            u32::MAX.into()
        } else {
            u64::MAX
        }
    }
}
