//! Results ahead of whoever reads them: what a pager has not taken yet waits in memory, so that a question is done
//! with the catalogue as soon as it can be.

use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;

/// The longest piece that is handed over.
const PIECE_BYTES: usize = 64 << 10;
/// How many pieces may wait (64 MB if they are long); more of them wait until some are read.
const PIECES: usize = 1024;

/// The end that is written to.
#[derive(Debug)]
pub struct Ahead(SyncSender<Vec<u8>>);

/// The end that is read from, by a thread that writes what comes to where it leads.
#[derive(Debug)]
pub struct Following(JoinHandle<io::Result<()>>);

/// Both ends of what leads to `out`; what is written is handed over when it is flushed, or long.
///
/// # Errors
/// If there can be no further thread.
pub fn ahead_of(out: impl Write + Send + 'static) -> anyhow::Result<(BufWriter<Ahead>, Following)> {
    let (ahead, pieces) = sync_channel(PIECES);
    let thread = thread::Builder::new().name("output".to_owned()).spawn(move || follow(&pieces, out));
    Ok((
        BufWriter::with_capacity(PIECE_BYTES, Ahead(ahead)),
        Following(thread.context("cannot start a thread for the output")?),
    ))
}

fn follow(pieces: &Receiver<Vec<u8>>, mut out: impl Write) -> io::Result<()> {
    for piece in pieces {
        out.write_all(&piece)?;
        out.flush()?;
    }
    Ok(())
}

impl Write for Ahead {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(PIECE_BYTES)];
        // Nobody follows any more: why, the other end tells.
        self.0.send(piece.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // A piece that was handed over is written without being asked to.
        Ok(())
    }
}

impl Following {
    /// Waits until everything is written that was handed over before the other end was dropped.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn finish(self) -> anyhow::Result<()> {
        let written = self.0.join().map_err(|_| anyhow::anyhow!("the output crashed"))?;
        written.context("Failed to write the result")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Takes nothing until it is told to.
    struct Stubborn {
        may: Receiver<()>,
        told: std::sync::mpsc::Sender<Vec<u8>>,
    }

    impl Write for Stubborn {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.may.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            self.told.send(bytes.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_nobody_reads_yet_holds_nobody_up_and_comes_in_order() {
        let ((let_it, may), (told, taken)) = (channel(), channel());
        let (mut ahead, following) = ahead_of(Stubborn { may, told }).unwrap();
        for number in 0..100_u8 {
            ahead.write_all(&[number]).unwrap();
            ahead.flush().unwrap();
        }
        drop(ahead);
        for _ in 0..100 {
            let_it.send(()).unwrap();
        }
        following.finish().unwrap();
        assert_eq!(taken.iter().flatten().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn whoever_reads_no_more_is_told_of_by_both_ends() {
        let ((let_it, may), (told, _taken)) = (channel(), channel());
        let (mut ahead, following) = ahead_of(Stubborn { may, told }).unwrap();
        drop(let_it);
        let piece = vec![0; PIECE_BYTES];
        let refused = (0..=PIECES + 1).find_map(|_| ahead.write_all(&piece).err()).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
        assert!(following.finish().is_err());
    }
}
