//! One connection to MariaDB, kept open: Debian's own client, fed through a pipe. An error, or
//! the end of the client, ends the session; a new one is made by who needs it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A connection.
pub(crate) struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// MariaDB's number of it.
    pub(crate) id: u64,
    count: u64,
}

/// The last row of an answer is this, and a number.
const END: &str = "imagebuild-end-of-answer";

impl Session {
    /// Connects. `client` is the program with its options.
    pub(crate) fn open(client: &[String]) -> Result<Session, String> {
        let (program, options) = client.split_first().ok_or("no client program")?;
        let mut child = Command::new(program)
            .args(options)
            .args(["--batch", "--skip-column-names", "--unbuffered", "--skip-reconnect"])
            .args(["--no-auto-rehash", "--connect-timeout=2"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = pipes else {
            return Err(format!("{program}: no pipes"));
        };
        let output = BufReader::new(output);
        let mut session = Session { child, input, output, id: 0, count: 0 };
        let rows = session.run("SELECT CONNECTION_ID();")?;
        let id = rows.first().and_then(|row| row.parse().ok());
        session.id = id.ok_or_else(|| format!("no number of the connection in {rows:?}"))?;
        Ok(session)
    }

    /// Runs statements, each ended by `;`. Gives the rows of all answers, columns between tabs.
    /// After an error the session is of no more use.
    pub(crate) fn run(&mut self, sql: &str) -> Result<Vec<String>, String> {
        self.count += 1;
        let end = format!("{END} {}", self.count);
        let sent = self.input.write_all(format!("{sql}\nSELECT '{end}';\n").as_bytes());
        let mut rows = Vec::new();
        if sent.and_then(|()| self.input.flush()).is_ok() {
            let mut line = String::new();
            while self.output.read_line(&mut line).is_ok_and(|length| length > 0) {
                let row = line.trim_end_matches('\n');
                if row == end {
                    return Ok(rows);
                }
                rows.push(row.to_owned());
                line.clear();
            }
        }
        // The client ends at the first error, and says which.
        let mut said = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            let _ = errors.read_to_string(&mut said);
        }
        // It shows the statement, too, which may have a password in it.
        let error = said.lines().find(|line| line.starts_with("ERROR"));
        Err(error.unwrap_or("the client has ended").to_owned())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A text as a literal of SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
