//! Times of pieces of work that take turns.

/// A piece of work that is measured.
pub type Side<'a> = &'a mut dyn FnMut();

/// Lets all sides run once in each turn, a tenth of the turns unmeasured at first, and gives for each the median of
/// its times: nanoseconds of this thread's CPU time.
pub fn median_times<const SIDES: usize>(turns: usize, mut sides: [Side; SIDES]) -> [u64; SIDES] {
    let mut times = [const { Vec::new() }; SIDES];
    for turn in 0..turns + turns / 10 {
        for (side, times) in sides.iter_mut().zip(&mut times) {
            let started = thread_cpu_nanoseconds();
            side();
            let took = thread_cpu_nanoseconds() - started;
            if turn >= turns / 10 {
                times.push(took);
            }
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

fn thread_cpu_nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing, and the clock is that of the calling thread.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
