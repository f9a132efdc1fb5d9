//! The `source` of a pipeline: an RPC to poll.

use super::{Rewriter, SOURCE_TYPE, is_text, key, list, map, number, plain_number, text};
use crate::config::decode::{described, suggestion};
use crate::config::tree::{Node, Value};
use crate::config::units::Time;

const SOURCE: &[&str] =
    &["rpc_url", "auth_header", "start_ledger", "poll_interval", "rpc_method", "filters", "pagination", "xdrFormat"];
const FILTER: &[&str] = &["type", "contractIds", "topics"];
/// What the original polls with, and what that is here.
const METHODS: [(&str, &str); 3] =
    [("getEvents", "events"), ("getTransactions", "transactions"), ("getLedgers", "transactions")];

const ANY_TOPICS: &str = "the topics `[\"*\"]` are asked for as `[\"**\"]`, any topics, which is what such files mean; \
                          to an RPC `[\"*\"]` alone is exactly one topic, which few events have";

impl Rewriter {
    /// A pipeline's `source` as one of ours.
    pub(super) fn source(&mut self, pipeline: &str, name: &str, node: &Node) -> Node {
        let path = format!("{pipeline}.source");
        let Some((_, kind, config)) = self.part(&path, node, &[SOURCE_TYPE]) else {
            return map(Vec::new(), node.place);
        };
        let (path, ours) = (format!("{path}.config"), format!("sources.{name}.config"));
        let config = match config {
            Some(config) => self.source_config(&path, &ours, config),
            None => map(Vec::new(), node.place),
        };
        self.names.add(ours, path);
        map(vec![(key("type", kind), text("stellar_rpc", kind)), (key("config", kind), config)], node.place)
    }

    fn source_config(&mut self, path: &str, ours: &str, node: &Node) -> Node {
        let entries = self.section(path, node, SOURCE);
        let mut mode = text("events", node.place);
        let mut config = Vec::new();
        for (name, value) in &entries {
            let mut set = |name: &str, value: Node| config.push((key(name, value.place), value));
            match name.text.as_str() {
                "rpc_url" => set("rpc_url", (*value).clone()),
                "auth_header" => match &value.value {
                    Value::Text(header) if header.is_empty() => {}
                    Value::Text(_) => set("auth_header", (*value).clone()),
                    // It is not repeated.
                    _ => self.fault(value.place, format!("{path}.auth_header is no text; write it in quotes")),
                },
                // 0, as in Stellar's own files, and nothing are the newest.
                "start_ledger" if number(value) == Some(0) || is_text(value, "") => {}
                "start_ledger" => set("start_ledger", (*value).clone()),
                "poll_interval" => set("poll_interval", self.interval(path, value)),
                "rpc_method" => mode = self.mode(path, value),
                "filters" => set("filters", self.filters(path, ours, value)),
                "pagination" => {
                    let path = format!("{path}.pagination");
                    for (key, limit) in self.section(&path, value, &["limit"]) {
                        if key.text == "limit" {
                            set("page_limit", plain_number(limit));
                        }
                    }
                }
                "xdrFormat" if is_text(value, "") => {}
                "xdrFormat" => set("xdr_format", (*value).clone()),
                _ => {}
            }
        }
        let filters = config.iter().find(|(key, _)| key.text == "filters");
        if let Some((_, Node { place, value: Value::List(filters) })) = filters
            && !filters.is_empty()
            && !is_text(&mode, "events")
        {
            let message =
                format!("{path}.filters is for rpc_method `getEvents` alone; remove it, or choose that method");
            self.fault(*place, message);
        }
        self.names.add(format!("{ours}.mode"), format!("{path}.rpc_method"));
        self.names.add(format!("{ours}.page_limit"), format!("{path}.pagination.limit"));
        self.names.add(format!("{ours}.xdr_format"), format!("{path}.xdrFormat"));
        config.push((key("mode", mode.place), mode));
        map(config, node.place)
    }

    /// The original takes seconds.
    fn interval(&mut self, path: &str, node: &Node) -> Node {
        if let Some(seconds) = number(node) {
            return text(format!("{seconds}s"), node.place);
        }
        if !matches!(&node.value, Value::Text(text) if text.parse::<Time>().is_ok()) {
            let message = format!("{path}.poll_interval is {}; write seconds, such as 5, or 500ms", described(node));
            self.fault(node.place, message);
        }
        node.clone()
    }

    fn mode(&mut self, path: &str, node: &Node) -> Node {
        match &node.value {
            Value::Text(method) => {
                let method = if method.is_empty() { METHODS[0].0 } else { method };
                if let Some((_, mode)) = METHODS.iter().find(|(known, _)| *known == method) {
                    return text(*mode, node.place);
                }
                let near = suggestion(method, METHODS.iter().map(|(known, _)| *known));
                self.fault(node.place, format!("{path}.rpc_method is `{method}`, which is not supported{near}"));
            }
            _ => self.fault(node.place, format!("{path}.rpc_method is {}; write getEvents", described(node))),
        }
        text(METHODS[0].1, node.place)
    }

    fn filters(&mut self, path: &str, ours: &str, node: &Node) -> Node {
        let Value::List(filters) = &node.value else { return node.clone() };
        let filters = filters.iter().enumerate().map(|(index, filter)| {
            let (path, ours) = (format!("{path}.filters[{index}]"), format!("{ours}.filters[{index}]"));
            let mut entries = Vec::new();
            for (name, value) in self.section(&path, filter, FILTER) {
                match name.text.as_str() {
                    "type" if is_text(value, "") => {}
                    "type" => entries.push((name.clone(), value.clone())),
                    "contractIds" => {
                        self.names.add(format!("{ours}.contract_ids"), format!("{path}.contractIds"));
                        entries.push((key("contract_ids", name.place), value.clone()));
                    }
                    "topics" => entries.push((name.clone(), self.topics(value))),
                    _ => {}
                }
            }
            map(entries, filter.place)
        });
        list(filters.collect(), node.place)
    }

    /// `["*"]` is meant as "any topics": the guide's own example is otherwise one that gets nothing.
    fn topics(&mut self, node: &Node) -> Node {
        let mut topics = node.clone();
        for pattern in topics.children_mut() {
            if let Value::List(segments) = &mut pattern.value
                && let [only] = segments.as_mut_slice()
                && is_text(only, "*")
            {
                only.value = Value::Text("**".to_owned());
                if self.notes.is_empty() {
                    self.notes.push((only.place, ANY_TOPICS.to_owned()));
                }
            }
        }
        topics
    }
}
