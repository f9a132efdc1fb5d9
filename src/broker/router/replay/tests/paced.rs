//! Sessions that say how fast and until where. Ledgers close a second apart.

use super::*;

impl Client {
    /// The end, after so many ledgers; then the close.
    async fn ends(&mut self, ledger: u64, ledgers: u64) -> Value {
        let end = self.next().await;
        assert_eq!((&end["type"], &end["ledger"]), (&json!("replay_end"), &json!(ledger)), "{end}");
        assert_eq!(end["ledgers"], ledgers, "{end}");
        assert_eq!(self.next().await["close"], 1000);
        end
    }
}

#[actix::test]
async fn each_at_its_own_pace_and_to_its_own_end() {
    let mut world = World::new(20);
    world.append(300).await;
    let mut live = world.connect().await;
    live.register(json!({})).await;
    let (mut fast, mut slow, mut whole) = (world.connect().await, world.connect().await, world.connect().await);
    let began = Instant::now();
    let register = json!({"from_ledger": 11, "speed": "20x", "until": 50});
    assert_eq!(slow.register(register).await["type"], "registered");
    assert_eq!(fast.register(json!({"from_ledger": 11, "speed": "100x", "until": 50})).await["type"], "registered");
    assert_eq!(whole.register(json!({"from_ledger": 11, "until": 50})).await["type"], "registered");
    whole.gets(11..=50).await;
    let end = whole.ends(50, 40).await;
    assert_eq!(end["events"], 40 * EVENTS);
    // Nobody waits for them.
    world.append(5).await;
    live.gets(301..=305).await;
    fast.gets(11..=50).await;
    assert!(began.elapsed() >= Duration::from_millis(39 * 10));
    assert_eq!(fast.ends(50, 40).await, end);
    slow.gets(11..=50).await;
    assert!(began.elapsed() >= Duration::from_millis(39 * 50));
    assert_eq!(slow.ends(50, 40).await, end);
    // With its cursor a later one goes on after it.
    let mut back = world.connect().await;
    assert_eq!(back.register(json!({"resume": end["cursor"]})).await["resumed"]["ledgers"], 255);
    back.gets(51..=305).await;
    // A slow one reads little at a time, and no ledger more than twice.
    let reads = world.journal.reads.load(Ordering::SeqCst);
    assert!(reads < 2 * 80 + 40, "{reads} reads");
}

/// From within a ledger to within another; also to the newest that there is, and to one in memory.
#[actix::test]
async fn to_the_event_of_a_cursor() {
    let mut world = World::new(20);
    world.append(100).await;
    let mut client = world.connect().await;
    client.register(json!({"from_ledger": 1, "until": 100})).await;
    let mut cursors = Vec::new();
    for _ in 0..100 * EVENTS {
        cursors.push(client.next().await["cursor"].clone());
    }
    client.ends(100, 100).await;
    let each = EVENTS as usize;
    for (from, to) in [(7, 8), (7, 11), (4, 9), (each * 99, each * 99 + 2), (3, each * 100 - 1), (2, each * 95)] {
        let mut client = world.connect().await;
        client.register(json!({"resume": cursors[from], "until": cursors[to]})).await;
        for cursor in &cursors[from + 1..=to] {
            assert_eq!(client.next().await["cursor"], *cursor);
        }
        let end = client.next().await;
        assert_eq!((&end["cursor"], &end["events"]), (&cursors[to], &json!(to - from)), "{end}");
        assert_eq!(client.next().await["close"], 1000);
    }
}

#[actix::test]
async fn without_an_end_it_goes_on_live() {
    let mut world = World::new(20);
    world.append(100).await;
    let mut client = world.connect().await;
    client.register(json!({"from_ledger": 51, "speed": "200x"})).await;
    client.gets(51..=100).await;
    // More than at its pace in no time.
    world.append(500).await;
    client.gets(101..=600).await;
    let is_live = || world.worker.sessions.borrow().iter().all(|(_, slot)| slot.lag.is_none());
    let live = async {
        while !is_live() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, live).await.expect("it comes to the head");
}

/// Nothing that a client asks for waits for the next ledger.
#[actix::test]
async fn filters_change_while_nothing_is_due() {
    let mut world = World::new(20);
    world.append(100).await;
    let mut client = world.connect().await;
    client.register(json!({"from_ledger": 1, "speed": "0.1x"})).await;
    client.gets(1..=1).await;
    for _ in 0..40 {
        let answer = client.register(json!({"filters": {"types": ["payment"]}})).await;
        assert_eq!(answer["message"], "Filters updated", "{answer}");
    }
    // Nor is it read for again and again, nor does it hold what was read.
    let reads = world.journal.reads.load(Ordering::SeqCst);
    assert!(reads < 10, "{reads} reads");
    let lags = world.worker.sessions.borrow().lags();
    assert_eq!((lags.replaying, lags.sessions), (1, [0; 4]));
}

/// What waits for a client that reads late is not forgotten: it is closed when all has left, not before.
#[actix::test]
async fn the_end_waits_for_a_slow_reader() {
    let mut world = World::of(10, 3000);
    world.append(20).await;
    let mut client = world.connect().await;
    client.register(json!({"from_ledger": 1, "until": 20})).await;
    for ledger in 1..=20 {
        client.gets_of(3000, ledger..=ledger).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let end = client.next().await;
    assert_eq!(end["type"], "replay_end", "{end}");
    assert_eq!(client.next().await["close"], 1000);
}

#[actix::test]
async fn ends_that_cannot_be_are_refused() {
    let mut world = World::new(20);
    world.append(300).await;
    world.journal.gone.store(100, Ordering::SeqCst);
    let mut client = world.connect().await;
    let cursor = client.register(json!({"from_ledger": 200})).await;
    assert_eq!(cursor["type"], "registered");
    let cursor = client.next().await["cursor"].clone();
    for (register, reason) in [
        (
            json!({"from_ledger": 200, "until": 301}),
            "until: ledger 301 is not there yet, the newest is 300; leave it out",
        ),
        (json!({"from_ledger": 200, "until": 199}), "until: ledger 199 is not after the beginning"),
        (json!({"resume": cursor, "until": cursor}), "until: ledger 200 is not after the beginning"),
        (json!({"resume": cursor, "until": 150}), "until: ledger 150 is not after the beginning"),
        (json!({"from_ledger": 50, "until": 80}), "until: ledger 80 is not kept any more"),
        (json!({"from_ledger": 200, "until": "x"}), "until: not a cursor"),
        (json!({"from_ledger": 200, "until": -1}), "until: not the number of a ledger and no cursor"),
        (json!({"from_ledger": 200, "until": null, "speed": true}), "speed: not a text"),
        (json!({"from_ledger": 200, "speed": "0x"}), "speed: not max and no number from 0.1x to 1000x"),
        (json!({"speed": "1x"}), "send resume or from_ledger with them"),
        (json!({"until": 250}), "send resume or from_ledger with them"),
    ] {
        let mut client = world.connect().await;
        let answer = client.register(register.clone()).await;
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("invalid_resume")), "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(reason), "{register}: {answer}");
        assert_eq!(client.register(json!({})).await["type"], "registered");
    }
    // What a replay has not come to may be gone by then, and is told as to any other.
    let mut client = world.connect().await;
    client.register(json!({"from_ledger": 150, "speed": "10x", "until": 250})).await;
    client.gets(150..=151).await;
    world.journal.gone.store(240, Ordering::SeqCst);
    let closed = loop {
        let got = client.next().await;
        if got.get("id").is_none() {
            break got;
        }
    };
    assert_eq!(closed["code"], "too_slow", "{closed}");
}

/// For mounts that show a past and nothing else.
#[actix::test]
async fn a_mount_says_where_its_sessions_begin() {
    let mut world = World::new(20);
    world.append(300).await;
    world.journal.gone.store(100, Ordering::SeqCst);
    for (begins, until) in [(101, 250), (101, 300)] {
        let replay = crate::event::Replay { speed: "200x".parse().unwrap(), until: Some(Mark::Ledger(until)) };
        Arc::get_mut(&mut world.mount).unwrap().begin = Some((Mark::Oldest, replay));
        let mut client = world.connect().await;
        let answer = client.register(json!({})).await;
        assert_eq!(answer["resumed"]["ledgers"], 200, "{answer}");
        client.gets(begins..=until).await;
        client.ends(until, until + 1 - begins).await;
        drop(client);
        let gone = async {
            while Arc::get_mut(&mut world.mount).is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, gone).await.expect("the session ends");
    }
}
