//! Files to and from the guest, through its shell.

use super::machine::Machine;
use crate::error::Result;
use crate::exec::quote;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use std::time::Duration;

/// The shell reads its commands byte by byte, which takes its time under emulation.
const PIECE: usize = 16 << 10;

/// Native time for a piece.
const PATIENCE: Duration = Duration::from_secs(3);

impl Machine {
    /// What the guest's file holds.
    ///
    /// # Errors
    /// `Check` when it cannot be read, with what the guest said.
    pub fn read_file(&mut self, path: &str) -> Result<Vec<u8>> {
        let command = format!("cat -- {}", quote(path));
        let output = self.run(&command, PATIENCE * 4)?;
        if output.code == 0 {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(self.failed(&format!("cannot read {path}")).detail(said))
    }

    /// Replaces the guest's file, whose folder must be there; its mode and owner stay, or
    /// are root's for a new one. Meant for kilobytes.
    ///
    /// # Errors
    /// `Check` when it cannot be written.
    pub fn write_file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        let path = quote(path);
        self.succeed(&format!(": >{path}"), PATIENCE)?;
        for piece in content.chunks(PIECE) {
            let text = BASE64_STANDARD.encode(piece);
            self.succeed(&format!("echo {text} | base64 -d >>{path}"), PATIENCE)?;
        }
        Ok(())
    }
}
