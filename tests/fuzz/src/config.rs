//! Settings files.

use ledgercast::config::load::{ConfigError, read};

/// Beyond this much text a file is no settings file.
const LONGEST: usize = 64 << 10;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.len() > LONGEST {
        return;
    }
    let places = Places::of(text);
    match read("x.yaml", text) {
        Ok(loaded) => {
            loaded.notes.iter().for_each(|note| places.check(note));
            // What is printed and built on at start.
            let _ = format!("{:?}", loaded.config);
            for (at, listener) in loaded.config.listeners.iter().enumerate() {
                assert!(!listener.public_url(([127, 0, 0, 1], 80).into()).ends_with('/'));
                loaded.name_in_file(&format!("listeners[{at}].bind"));
                for mount in &listener.mounts {
                    assert!(mount.path.starts_with('/') && !mount.sources.is_empty());
                    assert!(mount.sources.iter().all(|name| loaded.config.sources.number(name).is_some()));
                }
            }
        }
        Err(ConfigError::Invalid(lines)) => {
            assert!(!lines.is_empty(), "an error without a word");
            lines.iter().for_each(|line| places.check(line));
        }
        Err(error) => panic!("no file is read here: {error}"),
    }
}

/// How large places in a text can be.
struct Places {
    lines: usize,
    columns: usize,
}

impl Places {
    fn of(text: &str) -> Places {
        // YAML breaks lines at CR, too. Behind the last character there is one place more.
        let lines: Vec<_> = text.split_inclusive(['\n', '\r']).map(|line| line.chars().count()).collect();
        Places { lines: lines.len() + 1, columns: lines.iter().max().unwrap_or(&0) + 1 }
    }

    /// `x.yaml:line:column: …`, with a place in the text; or the file alone.
    fn check(&self, told: &str) {
        let rest = told.strip_prefix("x.yaml:").expect("the file is named");
        let mut parts = rest.splitn(3, ':').map(str::parse::<usize>);
        if let (Some(Ok(line)), Some(Ok(column))) = (parts.next(), parts.next()) {
            assert!((1..=self.lines).contains(&line) && (1..=self.columns).contains(&column), "{told}");
        }
    }
}
