//! Shares of the threads that may wait for a disk.
//!
//! The runtime has a few hundred of them for everybody. On a disk that takes a second for each sync, whoever may
//! begin as much as there is to do takes them all, and everybody else waits for him. So each kind of work of which
//! there may be much has a share, and waits for its turn without a thread.

use std::io;

use tokio::sync::Semaphore;

/// How many threads one kind of work may take of the whole process.
#[derive(Debug)]
pub struct BlockingShare {
    threads: Semaphore,
}

impl BlockingShare {
    /// A share of so many threads, for a `static`.
    #[must_use]
    pub const fn of(threads: usize) -> Self {
        Self { threads: Semaphore::const_new(threads) }
    }

    /// Does something that may wait for a disk, once there is a thread for it. What has begun goes on to its end and
    /// keeps its thread until then, also if nobody waits for it any more.
    ///
    /// # Errors
    /// If the work panics, or the runtime ends before it begins.
    pub async fn run<T: Send + 'static>(&'static self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let thread = self.threads.acquire().await.map_err(io::Error::other)?;
        let working = tokio::task::spawn_blocking(move || {
            let _thread = thread;
            work()
        });
        working.await.map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn no_more_work_begins_than_there_are_threads_for() {
        static SHARE: BlockingShare = BlockingShare::of(3);
        let (running, most, three) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Barrier::new(3));
        let three = Arc::new(three);
        let work = (0..12).map(|_| {
            let (running, most, three) = (running.clone(), most.clone(), three.clone());
            SHARE.run(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Ends only with two others beside it: there are three at once, and this shows that no fourth is.
                three.wait();
                running.fetch_sub(1, Ordering::SeqCst);
            })
        });
        assert!(join_all(work).await.iter().all(Result::is_ok));
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_thread_back() {
        static SHARE: BlockingShare = BlockingShare::of(1);
        assert!(SHARE.run(|| panic!("on purpose")).await.is_err());
        assert_eq!(SHARE.run(|| 7).await.unwrap(), 7);
    }
}
