//! The pipeline files of Obsrvr Flow, read as our own settings.
//!
//! In: the tree of a file with `pipelines:` at its top. Out: the tree that the same settings would
//! have in our form: a source for each pipeline, a mount for each `SaveToWebSocket`, a consumer for each
//! `SaveToPostgreSQL`. Every value
//! keeps its place, and [`Names`] turns the names of our form back into those of the file, so that
//! whatever is found later is told in the words and at the line that the reader wrote.
//!
//! Who owns what: this file the pipelines and their WebSockets, `source.rs` what is polled, `database.rs` databases.
//!
//! What always holds: nothing is left out silently. What we cannot do is an error at its line.

mod database;
mod source;

use super::decode::{described, suggestion};
use super::tree::{Key, Node, Place, Value};

const PIPELINE: &[&str] = &["source", "processors", "consumers"];
const PART: &[&str] = &["type", "config"];
const WEBSOCKET: &[&str] = &["port", "path", "max_queue_size"];

/// The kinds of each part that there are here.
const SOURCE_TYPE: &str = "RPCSourceAdapter";
const PROCESSOR_TYPE: &str = "GetEventsRPC";
const WEBSOCKET_TYPE: &str = "SaveToWebSocket";
const DATABASE_TYPE: &str = "SaveToPostgreSQL";

/// The original's defaults.
const PORT: u16 = 8080;
const PATH: &str = "/ws";

/// Something that is wrong, or worth telling, and where.
pub type Told = (Place, String);

/// A file in our form.
#[derive(Debug)]
pub struct Rewritten {
    /// Its tree.
    pub file: Node,
    /// What was understood otherwise than it is written.
    pub notes: Vec<Told>,
    /// The names that the file has for its settings.
    pub names: Names,
}

/// Paths in our form, and what the same settings are called in the file.
#[derive(Debug, Default)]
pub struct Names(Vec<(String, String)>);

impl Names {
    fn add(&mut self, ours: impl Into<String>, theirs: impl Into<String>) {
        self.0.push((ours.into(), theirs.into()));
    }

    /// A message with the names of the file instead of ours.
    pub fn in_file(&self, message: &str) -> String {
        let mut text = String::with_capacity(message.len());
        let mut rest = message;
        while let Some(letter) = rest.chars().next() {
            let fitting = self.0.iter().filter(|(ours, _)| rest.starts_with(ours.as_str()));
            let length = match fitting.max_by_key(|(ours, _)| ours.len()) {
                Some((ours, theirs)) => {
                    text.push_str(theirs);
                    ours.len()
                }
                None => {
                    text.push(letter);
                    letter.len_utf8()
                }
            };
            rest = &rest[length..];
        }
        text
    }
}

/// Brings a file into our form; one that has no `pipelines:` is in it.
pub fn rewrite(file: Node) -> Result<Rewritten, Vec<Told>> {
    let Some(pipelines) = file.get("pipelines") else {
        return Ok(Rewritten { file, notes: Vec::new(), names: Names::default() });
    };
    let mut rewriter = Rewriter::default();
    rewriter.pipelines(pipelines);
    let Value::Map(entries) = &file.value else { unreachable!("it has a key") };
    for (key, _) in entries.iter().filter(|(key, _)| ["sources", "listeners"].contains(&key.text.as_str())) {
        let message = format!("`{}` cannot stand beside `pipelines`; write one form or the other", key.text);
        rewriter.faults.push((key.place, message));
    }
    rewriter.end(&file, entries)
}

#[derive(Default)]
struct Rewriter {
    faults: Vec<Told>,
    notes: Vec<Told>,
    names: Names,
    /// Our sources, by name; the key's place is the pipeline's.
    sources: Vec<(Key, Node)>,
    listeners: Vec<Listener>,
    consumers: Vec<Node>,
}

/// All consumers of one port.
struct Listener {
    port: u16,
    place: Place,
    mounts: Vec<Mount>,
}

struct Mount {
    path: String,
    /// Where its consumer stands.
    place: Place,
    /// What the file calls it.
    consumer: String,
    node: Node,
}

fn key(text: &str, place: Place) -> Key {
    Key { text: text.to_owned(), place, hidden: false }
}

fn text(text: impl Into<String>, place: Place) -> Node {
    Node { place, value: Value::Text(text.into()) }
}

fn map(entries: Vec<(Key, Node)>, place: Place) -> Node {
    Node { place, value: Value::Map(entries) }
}

fn list(nodes: Vec<Node>, place: Place) -> Node {
    Node { place, value: Value::List(nodes) }
}

/// A whole number of 0 or more, with quotes or without: the original wants them for some, people
/// write them for all.
fn number(node: &Node) -> Option<u64> {
    match &node.value {
        Value::Unsigned(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// The same as a value; anything else is left for the one who knows what it must be.
fn plain_number(node: &Node) -> Node {
    number(node).map_or_else(|| node.clone(), |number| Node { place: node.place, value: Value::Unsigned(number) })
}

fn is_text(node: &Node, text: &str) -> bool {
    matches!(&node.value, Value::Text(has) if has == text)
}

impl Rewriter {
    fn fault(&mut self, place: Place, message: String) {
        self.faults.push((place, message));
    }

    /// The keys of a section that are set; unknown ones are told, and what is no section too.
    fn section<'n>(&mut self, path: &str, node: &'n Node, known: &[&str]) -> Vec<(&'n Key, &'n Node)> {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => {
                self.fault(node.place, format!("{path} is {}; write a section with keys", described(node)));
                &[]
            }
        };
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.text.as_str())) {
            let near = suggestion(&key.text, known.iter().copied());
            self.fault(key.place, format!("unknown key `{}` in {path}{near}", key.text));
        }
        entries.iter().filter(|(_, node)| !matches!(node.value, Value::Null)).map(|(key, node)| (key, node)).collect()
    }

    /// Reads `type` and `config`, and which type it is; nothing where it is none of those that there are.
    fn part<'n>(
        &mut self,
        path: &str,
        node: &'n Node,
        supported: &[&'static str],
    ) -> Option<(&'static str, Place, Option<&'n Node>)> {
        let faults = self.faults.len();
        let entries = self.section(path, node, PART);
        let get = |name: &str| entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| *node);
        let names: Vec<String> = supported.iter().map(|name| format!("`{name}`")).collect();
        match get("type") {
            Some(Node { place, value: Value::Text(name) }) => {
                if let Some(known) = supported.iter().find(|known| *known == name) {
                    return Some((known, *place, get("config")));
                }
                let near = suggestion(name, supported.iter().copied());
                self.fault(*place, format!("{path} is a `{name}`, which is not supported{near}"));
            }
            Some(other) => {
                let names = names.join(" or ");
                self.fault(other.place, format!("{path}.type is {}; write {names}", described(other)));
            }
            // What is no section was told.
            None if self.faults.len() == faults => {
                let names = names.join(" or ");
                self.fault(node.place, format!("{path} has no `type`; write {names} there"));
            }
            None => {}
        }
        None
    }

    /// The parts of a list.
    fn parts<'n>(&mut self, path: &str, node: Option<&'n Node>) -> &'n [Node] {
        match node.map(|node| (node, &node.value)) {
            None => &[],
            Some((_, Value::List(nodes))) => nodes,
            Some((node, _)) => {
                self.fault(node.place, format!("{path} is {}; write a list, each part after a `-`", described(node)));
                &[]
            }
        }
    }

    fn pipelines(&mut self, node: &Node) {
        let entries = match &node.value {
            Value::Map(entries) if !entries.is_empty() => entries,
            _ => return self.fault(node.place, "pipelines is empty; add a pipeline under a name".to_owned()),
        };
        for (key, pipeline) in entries {
            self.pipeline(key, pipeline);
        }
    }

    fn pipeline(&mut self, pipeline: &Key, node: &Node) {
        let path = format!("pipelines.{}", pipeline.text);
        let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        let name: String = pipeline.text.chars().map(|letter| if fits(letter) { letter } else { '-' }).collect();
        if name.is_empty() {
            return self.fault(pipeline.place, "a pipeline has no name; write one before the colon".to_owned());
        }
        if let Some((other, _)) = self.sources.iter().find(|(other, _)| other.text == name) {
            let message = format!(
                "{path} is called `{name}` in logs and metrics, as the pipeline in line {} is; rename one",
                other.place.line
            );
            return self.fault(pipeline.place, message);
        }
        // What is missing is told only where nothing else can be the reason.
        let faults = self.faults.len();
        let entries = self.section(&path, node, PIPELINE);
        let get = |name: &str| entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| *node);
        self.names.add(format!("sources.{name}"), path.clone());
        let source = match get("source") {
            Some(source) => self.source(&path, &name, source),
            None => {
                if self.faults.len() == faults {
                    self.fault(pipeline.place, format!("{path} has no `source`; add one of type `{SOURCE_TYPE}`"));
                }
                map(Vec::new(), node.place)
            }
        };
        self.sources.push((key(&name, pipeline.place), Node { place: pipeline.place, ..source }));

        for (index, processor) in self.parts(&format!("{path}.processors"), get("processors")).iter().enumerate() {
            let path = format!("{path}.processors[{index}]");
            if let Some((_, _, Some(config))) = self.part(&path, processor, &[PROCESSOR_TYPE]) {
                self.section(&format!("{path}.config"), config, &[]);
            }
        }
        let mut feeds = false;
        for (index, consumer) in self.parts(&format!("{path}.consumers"), get("consumers")).iter().enumerate() {
            let path = format!("{path}.consumers[{index}]");
            let Some((kind, _, config)) = self.part(&path, consumer, &[WEBSOCKET_TYPE, DATABASE_TYPE]) else {
                continue;
            };
            feeds = true;
            match kind {
                DATABASE_TYPE => self.database(path, pipeline.place, &name, consumer, config),
                _ => self.consumer(path, pipeline.place, &name, consumer, config),
            }
        }
        if !feeds && self.faults.len() == faults {
            self.fault(pipeline.place, format!("{path} has no `{WEBSOCKET_TYPE}` consumer; add one for its clients"));
        }
    }

    fn consumer(&mut self, consumer: String, pipeline: Place, source: &str, node: &Node, config: Option<&Node>) {
        let section = format!("{consumer}.config");
        let entries = config.map(|config| self.section(&section, config, WEBSOCKET)).unwrap_or_default();
        let get = |name: &str| entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| *node);
        let port = match get("port") {
            None => Some(PORT),
            Some(value) => {
                let port = number(value).and_then(|port| u16::try_from(port).ok());
                if port.is_none() {
                    self.fault(
                        value.place,
                        format!("{section}.port is {}; write a port such as 8080", described(value)),
                    );
                }
                port
            }
        };
        let path = match get("path").map(|value| (value, &value.value)) {
            None => text(PATH, node.place),
            Some((value, Value::Text(path))) if path.starts_with('/') => value.clone(),
            Some((value, Value::Text(path))) if !path.is_empty() => text(format!("/{path}"), value.place),
            Some((value, _)) => {
                return self.fault(value.place, format!("{section}.path is {}; write {PATH}", described(value)));
            }
        };
        let (Some(port), Value::Text(path_text)) = (port, path.value.clone()) else { return };
        let place = get("port").map_or(node.place, |port| port.place);

        let listener = self.listeners.iter().position(|listener| listener.port == port).unwrap_or_else(|| {
            self.listeners.push(Listener { port, place, mounts: Vec::new() });
            let ours = format!("listeners[{}]", self.listeners.len() - 1);
            self.names.add(format!("{ours}.bind"), format!("{section}.port"));
            self.names.add(ours, consumer.clone());
            self.listeners.len() - 1
        });
        let mounts = &mut self.listeners[listener].mounts;
        if let Some(other) = mounts.iter().find(|other| other.path == path_text) {
            let message = format!(
                "{consumer} is at port {port} and path `{path_text}`, where {} is already (line {}); choose another \
                 path or port",
                other.consumer, other.place.line
            );
            return self.fault(path.place, message);
        }
        let ours = format!("listeners[{listener}].mounts[{}]", mounts.len());
        self.names.add(format!("{ours}.path"), format!("{section}.path"));
        self.names.add(ours, consumer.clone());
        let queue = get("max_queue_size").map(|size| (key("max_queue_size", size.place), plain_number(size)));
        let entries = vec![
            (key("dialect", node.place), text("flow", node.place)),
            (key("path", path.place), path),
            (key("sources", pipeline), list(vec![text(source, pipeline)], pipeline)),
            (key("config", node.place), map(queue.into_iter().collect(), node.place)),
        ];
        mounts.push(Mount { path: path_text, place: node.place, consumer, node: map(entries, node.place) });
    }

    /// The whole file: our sections as they stand, and what became of the pipelines.
    fn end(self, file: &Node, entries: &[(Key, Node)]) -> Result<Rewritten, Vec<Told>> {
        if !self.faults.is_empty() {
            let mut faults = self.faults;
            faults.sort_by_key(|(place, _)| (place.line, place.column));
            return Err(faults);
        }
        let (mut ours, pipelines): (Vec<_>, Vec<_>) =
            entries.iter().cloned().partition(|(key, _)| key.text != "pipelines");
        let place = pipelines.first().map_or(file.place, |(key, _)| key.place);
        let listeners = self.listeners.into_iter().map(|Listener { port, place, mounts }| {
            // On all addresses, as the original: behind Docker's `-p` the loopback would reach nobody.
            let bind = text(format!("0.0.0.0:{port}"), place);
            let mounts = list(mounts.into_iter().map(|mount| mount.node).collect(), place);
            let plain = Node { place, value: Value::Bool(true) };
            let keys = vec![(key("bind", place), bind), (key("allow_plain_http", place), plain)];
            map(keys.into_iter().chain([(key("mounts", place), mounts)]).collect(), place)
        });
        let listeners = list(listeners.collect(), place);
        let mut theirs = vec![(key("sources", place), map(self.sources, place)), (key("listeners", place), listeners)];
        if !self.consumers.is_empty() {
            // Ours may stand beside, after theirs.
            match ours.iter_mut().find(|(key, _)| key.text == "consumers") {
                Some((_, Node { value: Value::List(nodes), .. })) => drop(nodes.splice(..0, self.consumers)),
                Some((_, node)) if matches!(node.value, Value::Null) => node.value = Value::List(self.consumers),
                // What it is instead is told by who reads it.
                Some(_) => {}
                None => theirs.push((key("consumers", place), list(self.consumers, place))),
            }
        }
        let file = map(theirs.into_iter().chain(ours).collect(), file.place);
        Ok(Rewritten { file, notes: self.notes, names: self.names })
    }
}

#[cfg(test)]
mod tests;
