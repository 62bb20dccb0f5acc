//! A port's socket: it listens for as long as the segment lives, and talks to whoever
//! called last, so that a machine that was switched off can plug in again.

use super::frame::Frame;
use super::stream::{FrameReader, Outbox};
use crate::error::{Error, Result};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `sockaddr_un` holds, with its end.
const LONGEST_PATH: usize = 107;

/// The socket of one port.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) path: PathBuf,
    pub(super) listener: Arc<UnixListener>,
    pub(super) stream: Option<Arc<UnixStream>>,
    reader: FrameReader,
    outbox: Outbox,
}

impl Socket {
    /// Listens at `path`; a socket that a dead process left there is replaced.
    pub(super) fn listen(path: &Path) -> Result<Socket> {
        if path.as_os_str().len() > LONGEST_PATH {
            let message = format!("the path of a socket is too long: {}", path.display());
            return Err(
                Error::build(message).hint("use a shorter folder for temporary files (TMPDIR)")
            );
        }
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", path, &e));
            }
            _ => {}
        }
        let failed = |e: std::io::Error| Error::io("listen on", path, &e);
        let listener = UnixListener::bind(path).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Socket {
            path: path.to_owned(),
            listener: Arc::new(listener),
            stream: None,
            reader: FrameReader::default(),
            outbox: Outbox::default(),
        })
    }

    /// Takes a call, if there is one; the one before is over then.
    pub(super) fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            self.hang_up();
            if stream.set_nonblocking(true).is_ok() {
                self.stream = Some(Arc::new(stream));
            }
        }
    }

    /// The frames that have come.
    pub(super) fn read(&mut self) -> Vec<Frame> {
        let Some(stream) = &self.stream else { return Vec::new() };
        let (frames, goes_on) = self.reader.read(&**stream);
        if !goes_on {
            self.hang_up();
        }
        frames
    }

    /// Sends a frame, if anybody is there and its buffer is not full.
    pub(super) fn send(&mut self, frame: &Frame) {
        if self.stream.is_some() {
            self.outbox.push(frame);
        }
    }

    /// Writes what waits.
    pub(super) fn write(&mut self) {
        let Some(stream) = &self.stream else { return };
        if !self.outbox.write(&**stream) {
            self.hang_up();
        }
    }

    /// Whether something waits to be written.
    pub(super) fn is_waiting(&self) -> bool {
        !self.outbox.is_empty()
    }

    fn hang_up(&mut self) {
        self.stream = None;
        self.reader = FrameReader::default();
        self.outbox = Outbox::default();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Its folder may have gone before it.
        drop(std::fs::remove_file(&self.path));
    }
}
