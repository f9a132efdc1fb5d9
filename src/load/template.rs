//! The filters of each client, from one template.

use std::path::Path;

/// Stands for the client's number, from 0.
const NUMBER: &str = "{i}";
/// Stands for the client's line of the accounts' file.
const ACCOUNT: &str = "{account}";
/// What a file of accounts alone means.
const BY_ACCOUNT: &str = r#"{"account_ids":["{account}"]}"#;

/// Why there are no filters.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// What the template makes is no JSON object.
    #[error("--filters: {0}; give a JSON object such as {{\"types\":[\"payment\"]}}")]
    NotJson(String),
    /// `{account}` without a file.
    #[error("--filters has {{account}}; say with --accounts FILE which accounts there are, one a line")]
    NoAccounts,
    /// A file that the template does not use.
    #[error("--accounts is given, but --filters has no {{account}}")]
    Unused,
    /// The file cannot be read, or is of no use.
    #[error("--accounts {file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A template and what it is filled with.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    accounts: Vec<String>,
}

impl Template {
    /// From what was given; neither: `{}`, which restricts nothing.
    pub fn new(filters: Option<&str>, accounts: Option<&Path>) -> Result<Template, TemplateError> {
        let accounts = accounts.map(read).transpose()?.unwrap_or_default();
        let text = filters.unwrap_or(if accounts.is_empty() { "{}" } else { BY_ACCOUNT }).to_owned();
        match (text.contains(ACCOUNT), accounts.is_empty()) {
            (true, true) => return Err(TemplateError::NoAccounts),
            (false, false) => return Err(TemplateError::Unused),
            _ => {}
        }
        let template = Template { text, accounts };
        match serde_json::from_str(&template.fill(0)) {
            Ok(serde_json::Value::Object(_)) => Ok(template),
            Ok(_) => Err(TemplateError::NotJson("not an object".to_owned())),
            Err(error) => Err(TemplateError::NotJson(error.to_string())),
        }
    }

    /// The filters of one client. Accounts go round when there are more clients than lines.
    pub fn fill(&self, client: usize) -> String {
        let filled = self.text.replace(NUMBER, &client.to_string());
        match self.accounts.len() {
            0 => filled,
            count => filled.replace(ACCOUNT, &self.accounts[client % count]),
        }
    }
}

fn read(file: &Path) -> Result<Vec<String>, TemplateError> {
    let wrong = |reason: String| TemplateError::File { file: file.display().to_string(), reason };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let accounts: Vec<String> = lines.map(str::to_owned).collect();
    if accounts.is_empty() {
        return Err(wrong("no line holds an account".to_owned()));
    }
    // They are put into JSON as they are.
    match accounts
        .iter()
        .find(|account| !account.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte)))
    {
        Some(bad) => Err(wrong(format!("`{bad}` is no account"))),
        None => Ok(accounts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filled_for_each_client() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# ours\nGA\n\n  GB  \n").unwrap();
        let by_account = Template::new(None, Some(file.path())).unwrap();
        assert_eq!(by_account.fill(2), r#"{"account_ids":["GA"]}"#);
        assert_eq!(by_account.fill(3), r#"{"account_ids":["GB"]}"#);
        let numbered = Template::new(Some(r#"{"min_amount":"{i}.5"}"#), None).unwrap();
        assert_eq!(numbered.fill(12), r#"{"min_amount":"12.5"}"#);
        assert_eq!(Template::new(None, None).unwrap().fill(1), "{}");
    }

    #[test]
    fn mistakes_are_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let new = |filters, accounts| Template::new(filters, accounts).unwrap_err().to_string();
        assert!(new(Some("{i}"), None).contains("not an object"));
        assert!(new(Some("{"), None).contains("EOF"));
        assert!(new(Some(r#"{"a":"{account}"}"#), None).contains("--accounts FILE"));
        assert!(new(None, Some(file.path())).contains("no line"));
        std::fs::write(file.path(), "G\"A").unwrap();
        assert!(new(None, Some(file.path())).contains("is no account"));
        std::fs::write(file.path(), "GA").unwrap();
        assert!(new(Some("{}"), Some(file.path())).contains("no {account}"));
        assert!(new(None, Some(Path::new("/nowhere"))).contains("/nowhere"));
    }
}
