//! Work on all processors.

use crate::error::{Error, Result};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Does `work` for all of them, as many at a time as the machine has processors. What is
/// begun is brought to its end.
///
/// # Errors
/// One of the failures; its thread takes nothing new.
pub fn for_each<T: Sync>(all: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    for_each_of(processors, all, work)
}

/// The same, so many at a time.
///
/// # Errors
/// As [`for_each`].
pub fn for_each_of<T: Sync>(
    threads: NonZeroUsize,
    all: &[T],
    work: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let (next, work) = (AtomicUsize::new(0), &work);
    let some = || -> Result<()> {
        while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(one)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(some)).collect();
        let died = |_| Err(Error::bug("a thread died"));
        // All of them, before one's failure is told.
        let done: Vec<Result<()>> =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(died)).collect();
        done.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_done_once_and_a_failure_is_told() {
        let all: Vec<usize> = (0..1000).collect();
        let sum = AtomicUsize::new(0);
        for_each(&all, |one| {
            sum.fetch_add(*one, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
        assert_eq!(sum.into_inner(), 499_500);
        let failure =
            for_each(&all, |one| if *one == 500 { Err(Error::build("500")) } else { Ok(()) });
        assert_eq!(failure.unwrap_err().message(), "500");
        for_each(&[] as &[usize], |_| Err(Error::build("nothing"))).unwrap();
    }
}
