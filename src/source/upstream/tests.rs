use super::*;
use std::cell::{Cell, RefCell};
use tokio::sync::Notify;

/// Answers each call when it is let go, and knows which run.
#[derive(Default)]
struct Scripted {
    running: RefCell<Vec<String>>,
    ended: Cell<usize>,
    go: Notify,
}

struct Running<'a>(&'a Scripted, String);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.borrow_mut().retain(|method| *method != self.1);
        self.0.ended.set(self.0.ended.get() + 1);
    }
}

struct Shared(Rc<Scripted>);

impl Upstream for Shared {
    fn call<'a>(&'a self, method: &'a str, parameters: &'a str) -> LocalFuture<'a, Result<Reply, CallError>> {
        Box::pin(async move {
            self.0.running.borrow_mut().push(method.to_owned());
            let _running = Running(&self.0, method.to_owned());
            self.0.go.notified().await;
            Ok(parameters.into())
        })
    }

    fn remembers(&self, method: &str) -> bool {
        method == "remembered"
    }
}

const LIMITS: CallLimits = CallLimits { of_session: 2, running: 3, waiting: 4, timeout: Duration::from_secs(60) };

fn start(limits: CallLimits) -> (Rc<Scripted>, Addr<UpstreamActor>) {
    let scripted = Rc::new(Scripted::default());
    let actor = UpstreamActor {
        upstream: Rc::new(Shared(scripted.clone())),
        source: "a".into(),
        limits,
        metrics: Arc::new(Metrics::default()),
        waiting: VecDeque::new(),
        running: 0,
        of_session: HashMap::new(),
    };
    (scripted, actor.start())
}

type Answered = oneshot::Receiver<Result<Reply, CallError>>;

fn call(upstream: &Addr<UpstreamActor>, session: u64, method: &str) -> Answered {
    let (answer, answered) = oneshot::channel();
    let session = SessionRef { router: 0, slot: session as u32, number: session };
    upstream.do_send(CallUpstream { session, method: method.into(), parameters: "{}".into(), answer });
    answered
}

/// Lets everything run that can.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn running(scripted: &Scripted) -> String {
    let mut running = scripted.running.borrow().clone();
    running.sort();
    running.join(" ")
}

#[actix::test]
async fn each_client_and_all_together_are_bounded() {
    let (scripted, upstream) = start(LIMITS);
    let calls: Vec<_> = ["a1", "a2", "a3", "b1", "b2"]
        .iter()
        .map(|name| call(&upstream, u64::from(name.as_bytes()[0]), name))
        .collect();
    settle().await;
    assert_eq!(running(&scripted), "a1 a2 b1", "the third of one client lets another's go first");
    // a3 and b2 wait already; two more fit, the next does not.
    let more: Vec<_> = ["c1", "c2", "c3"].iter().map(|name| call(&upstream, 3, name)).collect();
    settle().await;
    let mut more = more.into_iter();
    let (mut first, _second, refused) = (more.next().unwrap(), more.next().unwrap(), more.next().unwrap());
    assert_eq!(refused.await.unwrap(), Err(CallError::Busy));
    assert!(first.try_recv().is_err());
    let _remembered = call(&upstream, 3, "remembered");
    settle().await;
    assert_eq!(running(&scripted), "a1 a2 b1 remembered", "what is in memory waits for nobody");
    scripted.go.notify_one();
    settle().await;
    assert_eq!(running(&scripted), "a2 a3 b1 remembered");
    let mut calls = calls.into_iter();
    assert_eq!(calls.next().unwrap().await.unwrap(), Ok("{}".into()));
}

#[actix::test]
async fn a_call_ends_with_its_client() {
    let (scripted, upstream) = start(LIMITS);
    let running_call = call(&upstream, 1, "a");
    let waiting: Vec<_> = (0..6).map(|number| call(&upstream, 1, &format!("w{number}"))).collect();
    settle().await;
    assert_eq!(running(&scripted), "a w0");
    drop((running_call, waiting));
    settle().await;
    assert_eq!((running(&scripted), scripted.ended.get()), (String::new(), 2), "those that waited never ran");
    let next = call(&upstream, 1, "next");
    settle().await;
    assert_eq!(running(&scripted), "next");
    scripted.go.notify_one();
    assert_eq!(next.await.unwrap(), Ok("{}".into()));
}

#[actix::test]
async fn a_call_that_hangs_ends() {
    let (scripted, upstream) = start(CallLimits { timeout: Duration::from_millis(20), ..LIMITS });
    assert_eq!(call(&upstream, 1, "a").await.unwrap(), Err(CallError::Unreachable));
    assert_eq!(running(&scripted), "");
}
