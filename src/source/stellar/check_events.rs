//! What the RPC would refuse of a Stellar source's event filters, found before it is asked.

use super::{Config, EventFilter, Mode};
use crate::config::Finding;
use crate::config::tree::Step;
use std::ops::RangeInclusive;
use stellar_xdr::{Limits, ReadXdr, ScVal};

/// What an RPC with default settings takes.
const FILTERS: usize = 5;
const CONTRACTS: usize = 5;
const PATTERNS: usize = 5;
const SEGMENTS: usize = 4;
const PAGE: RangeInclusive<u32> = 1..=10_000;
/// No topic is nested deeper; a text that says so is hostile or a mistake.
const DEPTH: u32 = 64;

/// Everything that is wrong, in the order of the settings.
pub fn problems(config: &Config) -> Vec<Finding> {
    let mut problems = Vec::new();
    let path = || vec![Step::from("filters")];
    if config.mode != Mode::Events && !config.filters.is_empty() {
        problems.push((path(), "is for `mode: events` alone; remove it, or choose that mode".to_owned()));
    }
    if config.filters.len() > FILTERS {
        problems.push((path(), too_many(config.filters.len(), "filters", FILTERS)));
    }
    for (index, filter) in config.filters.iter().enumerate() {
        let found = of_filter(filter).into_iter();
        problems.extend(found.map(|(rest, message)| ([path(), vec![Step::from(index)], rest].concat(), message)));
    }
    if !PAGE.contains(&config.page_limit) {
        let message = format!("is {}; write {} to {}", config.page_limit, PAGE.start(), PAGE.end());
        problems.push((vec![Step::from("page_limit")], message));
    }
    problems
}

fn too_many(count: usize, what: &str, most: usize) -> String {
    format!("has {count} {what}, and an RPC takes {most}; remove some, or make another source for them")
}

fn of_filter(filter: &EventFilter) -> Vec<Finding> {
    let mut problems = Vec::new();
    if let Some(kinds) = &filter.r#type
        && !kinds.split(',').all(|kind| ["contract", "system"].contains(&kind))
    {
        let message = format!("is `{kinds}`; write `contract`, `system` or `contract,system`");
        problems.push((vec![Step::from("type")], message));
    }
    let path = |key: &str, index: usize| vec![Step::from(key), Step::from(index)];
    if filter.contract_ids.len() > CONTRACTS {
        problems.push((vec![Step::from("contract_ids")], too_many(filter.contract_ids.len(), "contracts", CONTRACTS)));
    }
    for (index, contract) in filter.contract_ids.iter().enumerate() {
        if stellar_strkey::Contract::from_string(contract).is_err() {
            let message =
                format!("is `{contract}`, which is no contract; write 56 letters and digits beginning with C");
            problems.push((path("contract_ids", index), message));
        }
    }
    if filter.topics.len() > PATTERNS {
        problems.push((vec![Step::from("topics")], too_many(filter.topics.len(), "patterns", PATTERNS)));
    }
    for (index, pattern) in filter.topics.iter().enumerate() {
        let found = of_pattern(pattern).into_iter();
        problems.extend(found.map(|(rest, message)| ([path("topics", index), rest].concat(), message)));
    }
    problems
}

fn of_pattern(pattern: &[String]) -> Vec<Finding> {
    let segments = match pattern {
        [] => return vec![(Vec::new(), "is empty; write `[\"**\"]` for any topics".to_owned())],
        [segments @ .., last] if last == "**" => segments,
        all => all,
    };
    let mut problems = Vec::new();
    if segments.len() > SEGMENTS {
        let message = format!("has {} segments, and an RPC takes {SEGMENTS} and a last `**`", segments.len());
        problems.push((Vec::new(), message));
    }
    for (index, segment) in segments.iter().enumerate() {
        let limits = Limits { depth: DEPTH, len: segment.len() };
        let message = match segment.as_str() {
            "*" => continue,
            "**" => "is `**`, which is understood at the end alone; write `*` for one topic".to_owned(),
            value if ScVal::from_xdr_base64(value, limits).is_ok() => continue,
            other => format!(
                "is `{other}`, which is no topic; write `*`, or a value in base64, such as AAAADwAAAAh0cmFuc2Zlcg== \
                 for the symbol transfer"
            ),
        };
        problems.push((vec![Step::from(index)], message));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::decode::path_text;
    use serde_json::{Value, json};

    const USDC: &str = "CCW67TSZV3SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75";
    const TRANSFER: &str = "AAAADwAAAAh0cmFuc2Zlcg==";

    /// The problems of a `config`, each on a line.
    fn told(config: Value) -> String {
        let config: Config = serde_json::from_value(config).unwrap();
        let lines =
            problems(&config).into_iter().map(|(path, message)| format!("{} {message}", path_text(path.iter())));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn filter(filter: Value) -> String {
        told(json!({ "mode": "events", "filters": [filter] }))
    }

    #[test]
    fn what_an_rpc_takes_is_good() {
        for good in [
            json!({}),
            json!({ "type": "contract,system", "contract_ids": vec![USDC; 5], "topics": vec![["**"]; 5] }),
            json!({ "type": "system", "topics": [[TRANSFER, "*", "*", "*", "**"], ["*"], ["*", TRANSFER]] }),
        ] {
            assert_eq!(filter(good.clone()), "", "{good}");
        }
        assert_eq!(told(json!({ "mode": "events", "filters": vec![json!({}); 5], "page_limit": 10_000 })), "");
        assert_eq!(told(json!({})), "");
    }

    #[test]
    fn what_it_refuses_is_told() {
        for (bad, message) in [
            (json!({ "type": "diagnostic" }), "filters[0].type is `diagnostic`; write"),
            (json!({ "type": "contract, system" }), "filters[0].type is `contract, system`; write"),
            (json!({ "type": "" }), "filters[0].type is ``; write"),
            (json!({ "contract_ids": vec![USDC; 6] }), "filters[0].contract_ids has 6 contracts, and an RPC takes 5"),
            // One letter changed: the checksum tells.
            (
                json!({ "contract_ids": [USDC, USDC.replace("SZV3", "SZV4")] }),
                "filters[0].contract_ids[1] is `CCW67TSZV4SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75`, which is no contract",
            ),
            (
                json!({ "contract_ids": ["GBLLMUJ23KUS4SZJUJCDVAWXBYR3EGVTCPDVEYDUFLLTKB54YFGVAAVK"] }),
                "filters[0].contract_ids[0] is `GBLL",
            ),
            (json!({ "topics": vec![["*"]; 6] }), "filters[0].topics has 6 patterns, and an RPC takes 5"),
            (json!({ "topics": [[]] }), "filters[0].topics[0] is empty"),
            (json!({ "topics": [["*", "*", "*", "*", "*"]] }), "filters[0].topics[0] has 5 segments"),
            (json!({ "topics": [["*", "*", "*", "*", "*", "**"]] }), "filters[0].topics[0] has 5 segments"),
            (json!({ "topics": [["*"], ["**", "*"]] }), "filters[0].topics[1][0] is `**`"),
            (json!({ "topics": [["**", "**"]] }), "filters[0].topics[0][0] is `**`"),
            (json!({ "topics": [["transfer"]] }), "filters[0].topics[0][0] is `transfer`, which is no topic"),
            // Base64, but of no value; and a value with something after it.
            (json!({ "topics": [["dHJhbnNmZXI="]] }), "filters[0].topics[0][0] is `dHJhbnNmZXI=`, which is no topic"),
            (json!({ "topics": [["AAAAAQAAAAE="]] }), "filters[0].topics[0][0] is `AAAAAQAAAAE=`, which is no topic"),
        ] {
            let told = filter(bad.clone());
            assert!(told.starts_with(message) && told.lines().count() == 1, "{bad}: {told}");
        }
        let many = told(json!({ "mode": "events", "filters": vec![json!({}); 6] }));
        assert!(many.starts_with("filters has 6 filters, and an RPC takes 5"), "{many}");
        for (limit, bad) in [(0, true), (1, false), (10_001, true)] {
            assert_eq!(!told(json!({ "page_limit": limit })).is_empty(), bad, "{limit}");
        }
        let elsewhere = told(json!({ "filters": [{}] }));
        assert!(elsewhere.starts_with("filters is for `mode: events` alone"), "{elsewhere}");
    }

    #[test]
    fn deep_values_are_refused_and_not_followed() {
        // A vector in a vector in a vector: 0x10, present, one element, and again.
        let deep: Vec<u8> = [0, 0, 0, 0x10, 0, 0, 0, 1, 0, 0, 0, 1].repeat(10_000);
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, deep);
        assert!(filter(json!({ "topics": [[text]] })).starts_with("filters[0].topics[0][0] is"));
    }
}
