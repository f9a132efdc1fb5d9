//! `hash-password`: a password in, the text that stands for it in the settings out.

use crate::dialect::five_bells::users::{Cost, LONGEST_PASSWORD, hash_password};
use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{Read, Stdin, Write};

/// What `--help` says of it.
pub const ABOUT: &str = "\
Read a password, print the hash that stands for it in the settings

At a terminal it asks twice and shows nothing of what is typed. Otherwise it reads one line of standard input:

  ledgercast hash-password > alice.password
  pass show bells/alice | ledgercast hash-password > alice.password

The line that it prints (argon2id, 19 MiB, two passes) is what a user's `password_file` holds and what
`password_hash` takes. The same password gives another line each time; a new line ends the user's tokens.";

/// What Ctrl-C sends.
const CTRL_C: u8 = 3;
/// The longest that a terminal gives at once.
const LONGEST_LINE: usize = 4096;

/// Asks or reads, and prints.
pub fn run() -> anyhow::Result<()> {
    let stdin = std::io::stdin();
    let password = if isatty(&stdin) { ask(&stdin)? } else { one_line(stdin.lock())? };
    super::print(&format!("{}\n", hash(&password)?))
}

fn hash(password: &str) -> anyhow::Result<String> {
    if password.is_empty() {
        bail!("the password is empty; write one line to standard input");
    }
    hash_password(password, Cost::RECOMMENDED)
        .with_context(|| format!("the password has more than {LONGEST_PASSWORD} bytes; choose a shorter one"))
}

/// The one line of what is not typed by a person.
fn one_line(input: impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    // Room for the end of the line, and for one byte by which it is too long.
    input
        .take(LONGEST_PASSWORD as u64 + 3)
        .read_to_string(&mut text)
        .context("cannot read the password from standard input")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains(['\n', '\r']) {
        bail!("standard input holds more than one line; write the password alone");
    }
    Ok(line.to_owned())
}

/// The password of a person, typed twice.
fn ask(terminal: &Stdin) -> anyhow::Result<String> {
    let quiet = Quiet::new(terminal).context("cannot hide what is typed; write the password by a pipe")?;
    let mut input = terminal.lock();
    let first = typed("Password: ", &mut input)?;
    // Before it is typed again for nothing.
    hash(&first)?;
    let second = typed("Again: ", &mut input)?;
    drop(quiet);
    if first != second {
        bail!("the two passwords differ; try again");
    }
    Ok(first)
}

/// One line. A terminal gives one with each read, with the byte that ended it.
fn typed(prompt: &str, input: &mut impl Read) -> anyhow::Result<String> {
    let mut told = std::io::stderr();
    let _ = told.write_all(prompt.as_bytes()).and_then(|()| told.flush());
    let mut line = vec![0; LONGEST_LINE];
    let read = input.read(&mut line);
    let _ = told.write_all(b"\n");
    line.truncate(read.context("cannot read the password from the terminal")?);
    let Some(b'\n') = line.pop() else { bail!("no password was typed") };
    String::from_utf8(line).context("what was typed is no text in UTF-8")
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Quiet<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl Quiet<'_> {
    fn new(terminal: &Stdin) -> rustix::io::Result<Quiet<'_>> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        // Ctrl-C ends the line and not the process, which would leave the terminal as it is now.
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Quiet { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_a_password() {
        let read = |text: &str| one_line(text.as_bytes());
        for text in ["pa ss: ", "pa ss: \n", "pa ss: \r\n"] {
            assert_eq!(read(text).unwrap(), "pa ss: ");
        }
        assert_eq!(read("").unwrap(), "");
        for bad in ["a\nb", "a\n\n", "\n\n", "a\rb\n"] {
            assert!(read(bad).unwrap_err().to_string().contains("more than one line"), "{bad:?}");
        }
        assert!(one_line(&b"\xff"[..]).is_err());
        let longest = "x".repeat(LONGEST_PASSWORD);
        assert_eq!(read(&format!("{longest}\r\n")).unwrap(), longest);
        for more in ["x", "x\n", "x\r\n", &longest] {
            let error = hash(&read(&format!("{longest}{more}")).unwrap()).unwrap_err().to_string();
            assert!(error.contains("more than 1024 bytes") && !error.contains("xx"), "{error}");
        }
        assert!(hash("").unwrap_err().to_string().contains("is empty"));
    }

    #[test]
    fn a_line_that_is_not_ended_was_broken_off() {
        assert_eq!(typed("", &mut &b"pa ss\n"[..]).unwrap(), "pa ss");
        for broken in [&b""[..], b"pass", b"pass\x03"] {
            assert!(typed("", &mut &broken[..]).unwrap_err().to_string().contains("no password"));
        }
        assert!(typed("", &mut &b"\xff\n"[..]).is_err());
    }
}
