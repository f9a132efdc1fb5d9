//! Who is slow and how far behind: every worker thread is asked for its first few, and the answers
//! are put together.

use super::{Admin, fresh};
use crate::broker::{SessionReport, SortBy, TakeCensus, WorkerCount};
use actix::Recipient;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use std::cmp::Reverse;
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// Sessions in an answer, unless asked otherwise.
const LIMIT: usize = 100;
/// Nobody reads more, and no worker thread shall gather more.
const MAX_LIMIT: usize = 1000;
/// A worker thread that does not answer in this time is named instead.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer of `/debug/sessions`.
#[derive(Debug, Serialize)]
struct Slowest {
    sort: SortBy,
    limit: usize,
    workers: Vec<WorkerCount>,
    not_answering: Vec<String>,
    sessions: Vec<SessionReport>,
}

/// `sort=` and `limit=` out of a query string, or what is wrong with it.
fn asked(query: &str) -> Result<TakeCensus, String> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
        .map_err(|_| "the query cannot be read; write `?sort=lag&limit=100`".to_owned())?;
    let mut asked = TakeCensus { sort: SortBy::default(), limit: LIMIT, at: Instant::now() };
    for (key, value) in pairs.into_inner() {
        match key.as_str() {
            "sort" => {
                let known = SortBy::ALL.iter().find(|(word, _)| *word == value);
                let words = || SortBy::ALL.map(|(word, _)| word).join(", ");
                asked.sort = known.ok_or_else(|| format!("`sort` must be one of {}", words()))?.1;
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                asked.limit = limit.ok_or_else(|| format!("`limit` must be a number from 1 to {MAX_LIMIT}"))?;
            }
            _ => return Err("only `sort` and `limit` are known".to_owned()),
        }
    }
    Ok(asked)
}

/// `/debug/sessions?sort=lag&limit=100`.
pub(super) async fn sessions(request: HttpRequest, admin: web::Data<Admin>) -> HttpResponse {
    let asked = match asked(request.query_string()) {
        Ok(asked) => asked,
        Err(error) => return fresh(HttpResponse::BadRequest(), serde_json::json!({ "error": error })),
    };
    // All are asked before the first answer is waited for.
    let ask = |(number, router): (u16, Recipient<TakeCensus>)| (number, router.send(asked));
    let requests: Vec<_> = admin.health.workers().into_iter().map(ask).collect();
    let deadline = asked.at + PATIENCE;
    let (mut workers, mut not_answering, mut ranked) = (Vec::new(), Vec::new(), Vec::new());
    for (number, request) in requests {
        match timeout_at(deadline.into(), request).await {
            Ok(Ok(census)) => {
                workers.push(census.worker);
                ranked.extend(census.sessions);
            }
            _ => not_answering.push(format!("worker-{number}")),
        }
    }
    ranked.sort_by_key(|(rank, _)| Reverse(*rank));
    let sessions = ranked.into_iter().take(asked.limit).map(|(_, session)| session).collect();
    fresh(HttpResponse::Ok(), Slowest { sort: asked.sort, limit: asked.limit, workers, not_answering, sessions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_or_the_right_words_are_told() {
        let read = |query: &str| asked(query).map(|asked| (asked.sort, asked.limit));
        assert_eq!(read(""), Ok((SortBy::Lag, 100)));
        assert_eq!(read("sort=waiting&limit=7"), Ok((SortBy::Waiting, 7)));
        for (word, sort) in SortBy::ALL {
            assert_eq!(read(&format!("sort={word}")), Ok((sort, 100)));
            assert_eq!(serde_json::to_value(sort).unwrap(), word);
        }
        for bad in ["sort=slow", "sort=", "sort"] {
            assert_eq!(read(bad), Err("`sort` must be one of lag, waiting, age, stalled, silent".to_owned()), "{bad}");
        }
        for bad in ["limit=0", "limit=1001", "limit=-1", "limit=many", "limit=99999999999999999999999"] {
            assert_eq!(read(bad), Err("`limit` must be a number from 1 to 1000".to_owned()), "{bad}");
        }
        assert_eq!(read("order=lag"), Err("only `sort` and `limit` are known".to_owned()));
    }
}
