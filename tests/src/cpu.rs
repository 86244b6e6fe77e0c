//! Which of a machine's processors a thread runs on.

#![expect(unsafe_code, reason = "a thread's processors have no safe interface in std")]

use std::io;
use std::mem;

/// The processors that the calling thread may run on.
pub fn allowed() -> io::Result<Vec<usize>> {
    // SAFETY: a set of processors is plain bits, and lives until the call returns.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        if libc::sched_getaffinity(0, mem::size_of_val(&set), &raw mut set) != 0 {
            return Err(io::Error::last_os_error());
        }
        set
    };
    let most = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    // SAFETY: the number is below the size of the set.
    Ok((0..most).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect())
}

/// Keeps the calling thread, and those that it starts from now on, on one of them.
pub fn stay_on(cpu: usize) -> io::Result<()> {
    // SAFETY: as above.
    let done = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, mem::size_of_val(&set), &raw const set)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_where_it_was_put() {
        let last = *allowed().unwrap().last().unwrap();
        // A thread of its own: others go on running anywhere.
        let stayed = std::thread::spawn(move || stay_on(last).and_then(|()| allowed())).join();
        assert_eq!(stayed.unwrap().unwrap(), [last]);
    }
}
