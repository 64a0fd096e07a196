//! The calls to the system that a process for a picture may make: a list that leads nowhere.
//!
//! It can read the one picture, write what it makes, have memory and threads, and end. No other descriptor is
//! of use to it, also none that it was given by accident. A call that is not on the list fails as one that the
//! system does not have, so that libraries fall back on another, or go on without.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// What needs no look at its arguments: memory that there is already, the life of a thread, the clock, chance,
/// and the end.
const HARMLESS: [libc::c_long; 19] = [
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_close,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
];
/// Where what is made goes, and what a crash has to say.
const OUTPUTS: [u32; 2] = [1, 2];
/// Memory that belongs to no file.
const NO_FILE: u32 = u32::MAX;

/// Leaves this thread, for good, nothing but what making a small picture of `picture` takes.
///
/// # Errors
/// If the system has no such filters: then nothing holds a decoder that was led astray.
pub(super) fn confine(picture: BorrowedFd<'_>) -> io::Result<()> {
    let filter = filter(picture.as_raw_fd().cast_unsigned()).map_err(unsupported)?;
    seccompiler::apply_filter(&filter).map_err(unsupported)
}

fn unsupported(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, error)
}

fn filter(picture: u32) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = HARMLESS.iter().map(|call| (*call, Vec::new())).collect();
    for call in [libc::SYS_read, libc::SYS_lseek] {
        rules.insert(call, vec![SeccompRule::new(vec![equal(0, picture)?])?]);
    }
    for call in [libc::SYS_write, libc::SYS_writev] {
        let each = OUTPUTS.map(|output| SeccompRule::new(vec![equal(0, output)?]));
        rules.insert(call, each.into_iter().collect::<Result<_, _>>()?);
    }
    // Nothing that was read becomes code.
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![not_executable(2)?, equal(4, NO_FILE)?])?]);
    rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![not_executable(2)?])?]);
    // The decoder of JPEG has threads, to which the filter passes on; a process it cannot start.
    let threads = libc::CLONE_THREAD.cast_unsigned();
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![has_bit(0, threads)?])?]);
    rules.insert(libc::SYS_prctl, vec![SeccompRule::new(vec![equal(0, libc::PR_SET_NAME.cast_unsigned())?])?]);
    let refused = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let filter = SeccompFilter::new(rules, refused, SeccompAction::Allow, std::env::consts::ARCH.try_into()?)?;
    filter.try_into()
}

fn equal(argument: u8, value: u32) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value.into())
}

fn has_bit(argument: u8, bit: u32) -> Result<SeccompCondition, BackendError> {
    let bit = u64::from(bit);
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bit), bit)
}

fn not_executable(argument: u8) -> Result<SeccompCondition, BackendError> {
    let bit = SeccompCmpOp::MaskedEq(libc::PROT_EXEC.cast_unsigned().into());
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, bit, 0)
}
