use super::*;
use crate::event::Family;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

/// A hash that costs next to nothing.
pub(super) fn quick(password: &str) -> String {
    hash_password(password, Cost { memory: 8, passes: 1, lanes: 1 }).unwrap()
}

/// An address for each number.
pub(super) fn address(number: u32) -> IpAddr {
    IpAddr::V4(number.into())
}

/// Users whose passwords are verified when a test says so.
struct Play {
    users: Arc<Users>,
    now: Instant,
    time: SystemTime,
}

impl Play {
    fn new(settings: Value) -> Play {
        let settings: AccessConfig = serde_json::from_value(settings).unwrap();
        let users = Arc::new(Users::with_threads(&settings, "here", 0));
        Play { users, now: Instant::now(), time: UNIX_EPOCH + Duration::from_secs(1_700_000_000) }
    }

    fn start(&self, name: &str, password: &str, from: IpAddr) -> Login {
        let header = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        self.users.login_at(Credentials::of(Some(&header), ""), from, self.now, self.time)
    }

    /// A login by password, to its end.
    fn login(&self, name: &str, password: &str, from: u32) -> Result<Arc<User>, Denied> {
        self.login_from(name, password, address(from))
    }

    fn login_from(&self, name: &str, password: &str, from: IpAddr) -> Result<Arc<User>, Denied> {
        match self.start(name, password, from) {
            Login::Done(outcome) => outcome,
            Login::Pending(answer) => {
                self.users.verify_all();
                answer.now_or_never().expect("all were verified")
            }
        }
    }

    fn by_token(&self, token: &str, from: u32) -> Result<Arc<User>, Denied> {
        let credentials = Credentials::of(None, &format!("token={token}"));
        match self.users.login_at(credentials, address(from), self.now, self.time) {
            Login::Done(outcome) => outcome,
            Login::Pending(_) => panic!("tokens are judged at once"),
        }
    }

    fn token(&self, user: &User) -> String {
        self.users.token(user, self.time)
    }
}

fn alice_and_bob() -> Value {
    json!({ "users": [
        { "name": "alice", "password_hash": quick("pass:word"), "accounts": ["xrp:alice", "xlm:GAAZ"] },
        { "name": "bob", "password_hash": quick("hidden"), "disabled": true },
        { "name": "root", "password_hash": quick("ünï"), "admin": true },
    ] })
}

#[test]
fn a_right_password_lets_in_and_all_else_is_one_answer() {
    let play = Play::new(alice_and_bob());
    let alice = play.login("Alice", "pass:word", 1).unwrap();
    assert_eq!((&*alice.name, alice.admin), ("alice", false));
    assert_eq!(*alice.accounts, [("xrp".into(), "alice".into()), ("xlm".into(), "GAAZ".into())]);
    assert!(play.login("root", "ünï", 1).unwrap().admin);
    let before = play.users.verified();
    for (number, (name, password)) in
        [("alice", "passXword"), ("nobody", "pass:word"), ("bob", "hidden"), ("", "x"), (&"x".repeat(5000), "x")]
            .into_iter()
            .enumerate()
    {
        assert_eq!(play.login(name, password, 2), Err(Denied::Password), "{name}");
        assert_eq!(play.users.verified(), before + number as u64 + 1, "each costs one verification");
    }
    // What nobody can have costs none.
    assert_eq!(play.login("alice", "", 2), Err(Denied::Password));
    assert_eq!(play.login("alice", &"x".repeat(LONGEST_PASSWORD + 1), 2), Err(Denied::Password));
    assert_eq!(play.users.verified(), before + 5);
    for (header, query) in [(None, ""), (Some("Digest x"), ""), (Some("Bearer "), "token=")] {
        let Login::Done(outcome) = play.users.login(Credentials::of(header, query), address(2)) else { panic!() };
        assert_eq!(outcome, Err(Denied::None));
    }
    let text = format!("{alice:?}");
    assert!(text.contains("credential: (secret)"), "{text}");
}

#[test]
fn no_time_tells_who_exists() {
    let dear = Cost { memory: 64, passes: 3, lanes: 2 };
    let play = Play::new(json!({ "users": [
        { "name": "cheap", "password_hash": quick("a") },
        { "name": "dear", "password_hash": hash_password("a", dear).unwrap(), "disabled": true },
    ] }));
    let names: Vec<String> = (0..200).map(|number| format!("nobody{number}")).collect();
    let costs = || {
        let table = play.users.table();
        assert_eq!(table.hash("dear").cost(), dear, "as before it was disabled");
        names.iter().map(|name| table.hash(name).cost()).collect::<Vec<_>>()
    };
    let before = costs();
    // Nobody's are as dear and as cheap as somebody's, always the same for a name.
    let cheap = before.iter().filter(|cost| cost.memory == 8).count();
    assert!((1..200).contains(&cheap) && before.iter().all(|cost| *cost == dear || cost.memory == 8), "{cheap}");
    play.users.read_files().unwrap();
    assert_eq!(costs(), before);
    let alike = Play::new(json!({ "users": [{ "name": "cheap", "password_hash": quick("a") }] }));
    assert_eq!(["nobody", "cheap", ""].map(|name| alike.users.table().hash(name).cost().memory), [8; 3]);
    assert_eq!(Play::new(json!({})).users.table().hash("nobody").cost(), Cost::RECOMMENDED);
}

#[test]
fn a_good_login_is_remembered_for_a_minute() {
    let mut play = Play::new(alice_and_bob());
    for _ in 0..5 {
        play.login("alice", "pass:word", 1).unwrap();
        play.login("ALICE", "pass:word", 2).unwrap();
    }
    assert_eq!(play.users.verified(), 1);
    // Wrong ones are not.
    for _ in 0..3 {
        play.login("alice", "wrong", 1).unwrap_err();
    }
    assert_eq!(play.users.verified(), 4);
    play.now += memory::REMEMBERED - Duration::from_millis(1);
    play.login("alice", "pass:word", 1).unwrap();
    assert_eq!(play.users.verified(), 4);
    play.now += Duration::from_millis(1);
    play.login("alice", "pass:word", 1).unwrap();
    assert_eq!(play.users.verified(), 5);
}

#[test]
fn one_login_asked_for_several_times_is_verified_once() {
    let play = Play::new(alice_and_bob());
    let logins: Vec<Login> = (0..10).map(|_| play.start("alice", "pass:word", address(1))).collect();
    play.users.verify_all();
    for login in logins {
        let Login::Pending(answer) = login else { panic!("not verified yet") };
        assert_eq!(&*answer.now_or_never().unwrap().unwrap().name, "alice");
    }
    assert_eq!(play.users.verified(), 1);
}

#[test]
fn where_too_many_wait_one_is_turned_away_at_once() {
    let play = Play::new(alice_and_bob());
    let mut waiting = Vec::new();
    let denied = loop {
        match play.start("alice", &format!("guess{}", waiting.len()), address(waiting.len() as u32)) {
            Login::Pending(answer) => waiting.push(answer),
            Login::Done(outcome) => break outcome,
        }
        assert!(waiting.len() < 1000);
    };
    assert_eq!((denied, waiting.len()), (Err(Denied::Busy), queue::MOST));
    // Tokens need not wait.
    let token = play.token(&play.users.find("alice").unwrap());
    play.by_token(&token, 1).unwrap();
    // Who leaves is counted all the same.
    drop(waiting);
    play.users.verify_all();
    assert_eq!(play.users.verified(), queue::MOST as u64);
    let Err(Denied::Slowed { retry_after }) = play.login("alice", "pass:word", 5000) else { panic!("not slowed") };
    assert!(retry_after > Duration::ZERO);
}

#[test]
fn guessing_is_slowed_and_the_user_comes_in_all_the_same() {
    let mut play = Play::new(alice_and_bob());
    play.login("alice", "pass:word", 1).unwrap();
    play.now += memory::REMEMBERED * 2;
    // From one address, then from many.
    let guess = |play: &Play, from: u32| {
        (0..100)
            .take_while(|number| play.login("alice", &format!("guess{number}"), from) == Err(Denied::Password))
            .count()
    };
    assert_eq!(guess(&play, 2), 10);
    assert_eq!((3..50).map(|from| guess(&play, from)).sum::<usize>(), 20);
    let verified = play.users.verified();
    assert!(matches!(play.login("alice", "pass:word", 99), Err(Denied::Slowed { .. })));
    assert_eq!(play.users.verified(), verified, "without work");
    play.login("alice", "pass:word", 1).expect("known from before");
    // Remembered now, but who has to wait is not told whether a guess fits that.
    assert!(matches!(play.login("alice", "pass:word", 2), Err(Denied::Slowed { .. })));
    assert!(matches!(play.login("alice", "pass:word", 99), Err(Denied::Slowed { .. })));
    play.login("alice", "pass:word", 1).expect("known from before");
    play.now += Duration::from_secs(10);
    play.login("alice", "pass:word", 98).expect("the others' next place was free");
    play.now += memory::REMEMBERED;
    let _: usize = (100..150).map(|from| guess(&play, from)).sum();
    play.login("alice", "pass:word", 98).expect("remembered or not, it was good from there");
}

#[test]
fn a_guess_that_is_turned_away_is_counted() {
    let play = Play::new(alice_and_bob());
    play.login("alice", "pass:word", 1).unwrap();
    // All places of an address are taken, before the first failure is known.
    let waiting: Vec<Login> =
        (0..queue::MOST_OF_ADDRESS).map(|number| play.start("alice", &format!("guess{number}"), address(2))).collect();
    assert!(waiting.iter().all(|login| matches!(login, Login::Pending(_))));
    let guess = |number: u32| play.start("alice", &format!("more{number}"), address(2));
    let guesses = (0..1000).take_while(|number| matches!(guess(*number), Login::Done(Err(Denied::Busy)))).count();
    assert_eq!(guesses, 10);
    assert!(matches!(play.start("alice", "pass:word", address(2)), Login::Done(Err(Denied::Slowed { .. }))));
    assert!(matches!(play.start("alice", "pass:word", address(1)), Login::Done(Ok(_))));
}

#[test]
fn one_network_of_ipv6_is_one_address() {
    let guesses = |addresses: &[&str]| {
        let play = Play::new(alice_and_bob());
        let from = |number: usize| addresses[number % addresses.len()].parse().unwrap();
        (0..100)
            .take_while(|number| {
                play.login_from("alice", &format!("guess{number}"), from(*number)) == Err(Denied::Password)
            })
            .count()
    };
    assert_eq!(guesses(&["2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:0:1"]), 10);
    assert_eq!(guesses(&["192.0.2.1", "::ffff:192.0.2.1"]), 10);
    assert_eq!(guesses(&["2001:db8::1", "2001:db8:0:1::1"]), 20);
    let play = Play::new(alice_and_bob());
    let refused = |number: u32| {
        let peer = format!("2001:db8::{number:x}").parse().unwrap();
        let dead = Credentials::of(None, "token=dead");
        matches!(play.users.login_at(dead, peer, play.now, play.time), Login::Done(Err(Denied::Token)))
    };
    assert_eq!((0..100).take_while(|number| refused(*number)).count(), 30);
}

#[test]
fn a_token_gives_no_longer_life_than_its_own() {
    let mut play = Play::new(alice_and_bob());
    let alice = play.users.find("alice").unwrap();
    let hour = play.users.token_for(&alice, play.time, Duration::from_secs(3600));
    play.time += Duration::from_secs(3000);
    let by_token = play.by_token(&hour, 1).unwrap();
    assert!(play.users.still_there(&by_token));
    let another = play.token(&by_token);
    let shorter = play.users.token_for(&by_token, play.time, Duration::from_secs(60));
    play.time += Duration::from_secs(60);
    assert!(play.by_token(&shorter, 1).is_err());
    play.time += Duration::from_secs(539);
    let again = play.token(&play.by_token(&another, 1).unwrap());
    play.by_token(&again, 1).unwrap();
    play.time += Duration::from_secs(1);
    assert_eq!([&hour, &another, &again].map(|token| play.by_token(token, 1).err()), [Some(Denied::Token); 3]);
    // Nor one that is shown after it has run out, by who came in before.
    assert!(play.by_token(&play.token(&by_token), 1).is_err());
    let full = play.token(&play.login("alice", "pass:word", 1).unwrap());
    play.time += Duration::from_secs(86_400);
    play.by_token(&full, 1).unwrap();
}

#[test]
fn refused_tokens_are_slowed_and_good_ones_never() {
    let play = Play::new(alice_and_bob());
    let alice = play.users.find("alice").unwrap();
    let refused = (0..100).take_while(|_| play.by_token("dead", 1) == Err(Denied::Token)).count();
    assert_eq!(refused, 30);
    assert!(matches!(play.by_token("dead", 1), Err(Denied::Slowed { .. })));
    play.by_token(&play.token(&alice), 1).unwrap();
    play.login("alice", "pass:word", 1).expect("it can fetch a new one");
    assert_eq!(play.by_token("dead", 2), Err(Denied::Token));
}

#[test]
fn one_good_proof_is_enough() {
    let play = Play::new(alice_and_bob());
    let token = play.token(&play.users.find("root").unwrap());
    let login = |header: &str, query: &str| match play.users.login_at(
        Credentials::of(Some(header), query),
        address(1),
        play.now,
        play.time,
    ) {
        Login::Done(outcome) => outcome.map(|user| user.name.to_string()),
        Login::Pending(answer) => {
            play.users.verify_all();
            answer.now_or_never().unwrap().map(|user| user.name.to_string())
        }
    };
    let basic = format!("Basic {}", STANDARD.encode("alice:pass:word"));
    assert_eq!(login(&format!("Bearer {token}"), ""), Ok("root".to_owned()));
    assert_eq!(login("Bearer dead", &format!("token={token}")), Ok("root".to_owned()));
    assert_eq!(login(&basic, &format!("token={token}")), Ok("root".to_owned()));
    assert_eq!(login(&basic, "token=dead"), Ok("alice".to_owned()));
    assert_eq!(login("Bearer dead", "token=dead"), Err(Denied::Token));
}

/// A folder with the files that the settings name.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn tokens_live_through_a_restart_and_end_with_time_user_password_and_key() {
    let files = Files::new();
    let users_file = files.write("users", "");
    let settings =
        json!({ "users_file": users_file, "token_key_file": files.write("key", KEY), "token_max_age": "10d" });
    let (first, second) = (quick("pass"), quick("pass"));
    let write = |hash: &str, more: &str| {
        files.write("users", format!("- {{ name: alice, password_hash: '{hash}', {more} }}\n"));
    };
    write(&first, "admin: true");
    let mut play = Play::new(settings.clone());
    play.users.read_files().unwrap();
    let token = play.token(&play.users.find("alice").unwrap());

    // A restart.
    play = Play::new(settings);
    assert_eq!(play.by_token(&token, 1), Err(Denied::Token), "the key was not read yet");
    play.users.read_files().unwrap();
    let alice = play.by_token(&token, 1).unwrap();
    assert!(alice.admin && play.users.still_there(&alice));
    let again = play.token(&alice);
    play.by_token(&again, 1).unwrap();

    let good = |play: &Play| play.by_token(&token, 1).is_ok();
    for (hash, more, lets_in, stays) in [
        // The accounts are those of today, so the connection ends and may come back.
        (&first, "accounts: ['xrp:alice']", true, false),
        (&first, "admin: true", true, true),
        (&first, "admin: true, disabled: true", false, false),
        (&second, "admin: true", false, false),
        (&first, "admin: true", true, true),
    ] {
        write(hash, more);
        play.users.read_files().unwrap();
        assert_eq!((good(&play), play.users.still_there(&alice)), (lets_in, stays), "{more}");
    }
    files.write(
        "users",
        "- { name: carol, password_file: nowhere }".replace("nowhere", files.write("c", &first).to_str().unwrap()),
    );
    play.users.read_files().unwrap();
    assert!(!good(&play) && !play.users.still_there(&alice), "removed");
    write(&first, "admin: true");

    // Who came with a password does not depend on the key.
    play.users.read_files().unwrap();
    let by_password = play.login("alice", "pass", 1).unwrap();
    files.write("key", "another key, another key, another key");
    play.users.read_files().unwrap();
    assert!(!good(&play) && !play.users.still_there(&alice) && play.users.still_there(&by_password));
    files.write("key", format!("\n{KEY} \n"));
    play.users.read_files().unwrap();
    assert!(good(&play), "the same key, whatever stands around it");
    files.write("key", format!("\u{feff}{KEY}\r\n"));
    play.users.read_files().unwrap();
    assert!(good(&play), "also what an editor puts there");

    play.time += Duration::from_secs(10 * 86_400 - 1);
    assert!(good(&play));
    play.time += Duration::from_secs(1);
    assert!(!good(&play), "run out");
    play.time -= Duration::from_secs(20 * 86_400);
    assert!(!good(&play), "of the future");
}

#[test]
fn another_password_ends_the_old_one_at_once() {
    let files = Files::new();
    let file = files.write("alice", quick("old"));
    let play = Play::new(json!({ "users": [{ "name": "alice", "password_file": file }] }));
    assert_eq!(play.login("alice", "old", 1), Err(Denied::Password), "not read yet");
    play.users.read_files().unwrap();
    let alice = play.login("alice", "old", 1).unwrap();
    play.users.read_files().unwrap();
    assert!(play.users.still_there(&alice) && play.login("alice", "old", 1).is_ok(), "nothing has changed");

    files.write("alice", format!("{}\n", quick("new")));
    play.users.read_files().unwrap();
    assert_eq!(play.login("alice", "old", 1), Err(Denied::Password), "though it is remembered");

    let Login::Pending(under_way) = play.start("alice", "new", address(1)) else { panic!("unknown yet") };
    files.write("alice", quick("newer"));
    play.users.read_files().unwrap();
    play.users.verify_all();
    assert_eq!(under_way.now_or_never().unwrap(), Err(Denied::Password), "it fits what was");
    play.login("alice", "newer", 1).unwrap();
}

#[test]
fn what_is_told_of_a_mount_is_told_once() {
    assert!(told_now("once", "a") && !told_now("once", "a") && told_now("once", "b") && told_now("twice", "a"));
}

#[test]
fn a_bad_file_changes_nothing_and_is_not_repeated() {
    let files = Files::new();
    let (good, hash) = (quick("pass"), files.write("hash", quick("pass")));
    let settings = json!({
        "users": [{ "name": "inline", "password_file": &hash }],
        "users_file": files.write("users", format!("- {{ name: alice, password_hash: '{good}' }}\n")),
        "token_key_file": files.write("key", KEY),
    });
    let settings: AccessConfig = serde_json::from_value(settings).unwrap();
    let ledger = KnownLedger { key: "xrp".to_owned(), names: vec!["al".to_owned()], family: Some(Family::Xrpl) };
    let users = Users::with_threads(&settings, "here", 0).with_ledgers(vec![ledger]);
    users.read_files().unwrap();
    let all_there = || ["inline", "alice"].iter().all(|name| users.find(name).is_some());
    let complains = |file: &str, bad: &[u8], expected: &str| {
        let before = fs::read(files.0.path().join(file)).unwrap();
        let path = files.write(file, bad);
        let error = users.read_files().unwrap_err().to_string();
        let (key, reason) = error.split_once(&format!("{}: ", path.display())).unwrap();
        assert!(format!("{key}{reason}").contains(expected), "{error}, not {expected}");
        assert!(!error.contains("SECRET") && !error.contains("argon2id$") && all_there(), "{error}");
        files.write(file, before);
    };
    let entry = |name: &str, more: &str| format!("- {{ name: {name}, password_hash: '{good}', {more} }}");
    for (bad, expected) in [
        ("SECRET", "here.users_file: line 1, column 1: the top level is something else; write a list"),
        ("- SECRET:x", "line 1, column 3: [0]: a text; write { name: NAME, password_file: FILE"),
        ("- 'alice", "line 1"),
        ("- name: SECRET\n  name: SECRET", "line 2, column 3: is no YAML, or a key stands there twice"),
        ("- { SECRET: 1 }", "unknown key in [0]; there is `name`, `password_hash`"),
        ("\n- { admin: SECRET }", "line 2, column 12: [0].admin is something else; write true or false"),
        ("- { name: alice }", "line 1, column 3: [0] has no `password_hash`; write what"),
        ("- { name: alice, password_hash: SECRET }", "[0].password_hash is no argon2id hash"),
        ("- { name: alice, password_hash: 12345 }", "[0].password_hash: a number; write text in quotes"),
        ("- { name: aLice, password_file: a }", "[0].name is no name for a user"),
        (&entry("inline", ""), "[0].name is that of another user"),
        (
            &format!("{}\n{}", entry("dora", ""), entry("dora", "")),
            "line 2, column 11: [1].name is that of another user",
        ),
        (&entry("dora", "accounts: ['xpr:a']"), "[0].accounts[0] is of the ledger `xpr`, and none is called so"),
        (&entry("dora", "accounts: ['xrp:AL', 'xrp:SECRET']"), "[0].accounts[1] is no address on the XRP Ledger"),
        (&entry("dora", "accounts: [SECRET]"), "[0].accounts[0] is no account"),
        (&entry("dora", "").replace("m=8", "m=4194304"), "[0].password_hash asks for more than 256 MiB of memory"),
    ] {
        complains("users", bad.as_bytes(), expected);
    }
    complains("users", b"\xff", "here.users_file: is no text");
    for (bad, expected) in [
        (&b"SECRET"[..], "here.users[0].password_file: is no argon2id hash"),
        (b"", "is no argon2id hash"),
        (&[b'x'; 5000], "is larger than 4096 bytes"),
    ] {
        complains("hash", bad, expected);
    }
    for (bad, expected) in [
        (&b"SECRET\n"[..], "here.token_key_file: holds a key of 6 bytes"),
        (b"", "holds a key of 0 bytes"),
        (&[b' '; 100], "holds a key of 0 bytes"),
        (&[0xff; 31], "holds a key of 31 bytes"),
        (&[b'x'; 5000], "is larger than 4096 bytes"),
    ] {
        complains("key", bad, expected);
    }
    assert_eq!(users.token_max_age(), Duration::from_secs(3650 * 86_400));
    users.read_files().unwrap();
    // Binary, with what would be blanks in a text at its ends.
    files.write("key", [b"\n", &[0xff; 30][..], b"\n"].concat());
    users.read_files().unwrap();
    // As editors of other systems write them.
    files.write("hash", format!("\u{feff}{good}\r\n"));
    files.write("users", format!("\u{feff}- name: alice\r\n  password_hash: '{good}'\r\n"));
    users.read_files().unwrap();
    assert!(all_there());
    let key = files.0.path().join("key");
    let open_with = |mode| {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        table::open_to_all(&key)
    };
    assert_eq!([0o644, 0o604, 0o640, 0o600].map(open_with), [true, true, false, false]);
    fs::remove_file(&hash).unwrap();
    assert!(users.read_files().unwrap_err().to_string().contains("No such file"));
}

/// With its own threads and the cost of real passwords.
#[actix::test]
async fn passwords_are_verified_off_this_thread() {
    let hash = hash_password("pass", Cost::RECOMMENDED).unwrap();
    let settings = json!({ "users": [{ "name": "alice", "password_hash": hash }] });
    let users = Arc::new(Users::new(&serde_json::from_value(settings).unwrap(), "here"));
    let login = |password: &str| {
        let header = format!("Basic {}", STANDARD.encode(format!("alice:{password}")));
        match users.login(Credentials::of(Some(&header), ""), address(1)) {
            Login::Pending(answer) => answer,
            Login::Done(_) => panic!("it cannot be known yet"),
        }
    };
    let all = futures_util::future::join3(login("pass"), login("wrong"), login("pass"));
    let (first, second, third) = all.await;
    assert_eq!((first.is_ok(), second, third.is_ok()), (true, Err(Denied::Password), true));
    assert_eq!(users.verified(), 2);
    // The threads have ended or are about to; a new one starts.
    assert_eq!(login("other").await, Err(Denied::Password));
}
