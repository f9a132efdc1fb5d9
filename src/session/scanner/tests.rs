use super::*;
use proptest::prelude::*;

const LIMIT: Limit = Limit { max_message: 1000, discard_up_to: 0 };

fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = vec![u8::from(last) << 7 | opcode];
    match payload.len() {
        length @ 0..=125 => wire.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            wire.push(0x80 | 126);
            wire.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            wire.push(0x80 | 127);
            wire.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = [7, 99, 200, 31];
    wire.extend_from_slice(&mask);
    wire.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    wire
}

fn scan_in(pieces: &[&[u8]], limit: Limit) -> (Vec<Item>, Result<(), Fault>) {
    let mut scanner = Scanner::default();
    let mut items = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        loop {
            match scanner.next(&mut input, limit) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(fault) => return (items, Err(fault)),
            }
        }
        assert!(input.is_empty());
    }
    (items, Ok(()))
}

fn scan(wire: &[u8]) -> (Vec<Item>, Result<(), Fault>) {
    scan_in(&[wire], LIMIT)
}

#[test]
fn a_claim_costs_nothing() {
    let mut scanner = Scanner::default();
    let mut claim: &[u8] = &[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    assert_eq!(scanner.next(&mut claim, LIMIT), Err(Fault::TooBig));
    // Nor does one that is below the limit, before its bytes are here.
    let mut claim: &[u8] = &[0x82, 0xfe, 3, 0xe8, 1, 2, 3, 4, b'x'];
    assert_eq!(scanner.next(&mut claim, LIMIT), Ok(None));
    assert!((1..100).contains(&scanner.held()), "{}", scanner.held());
    // Also when each fragment alone is small.
    let wire = [frame(false, TEXT, &[b'x'; 600]), frame(true, CONTINUATION, &[b'x'; 401])].concat();
    assert_eq!(scan(&wire), (vec![], Err(Fault::TooBig)));
    let wire = [frame(false, TEXT, &[b'x'; 600]), frame(true, CONTINUATION, &[b'x'; 400])].concat();
    assert_eq!(scan(&wire).0, vec![Item::Text("x".repeat(1000))]);
}

#[test]
fn oversize_is_read_past_where_the_dialect_says_so() {
    let limit = Limit { max_message: 10, discard_up_to: 100 };
    let wire = [frame(true, TEXT, &[b'x'; 99]), frame(true, TEXT, b"ok")].concat();
    assert_eq!(scan_in(&[&wire], limit).0, vec![Item::Discarded(99), Item::Text("ok".into())]);
    assert_eq!(scan_in(&[&frame(true, TEXT, &[b'x'; 101])], limit).1, Err(Fault::TooBig));
}

#[test]
fn faults_have_their_codes() {
    let unmasked: &[u8] = &[0x81, 0x02, b'h', b'i'];
    let cases: Vec<(Vec<u8>, u16)> = vec![
        (unmasked.to_vec(), 1002),
        (vec![0xc1], 1002),
        (vec![0x83], 1002),
        (frame(false, PING, b""), 1002),
        (frame(true, PING, &[0; 126]), 1002),
        (frame(true, CONTINUATION, b"x"), 1002),
        ([frame(false, TEXT, b"x"), frame(true, TEXT, b"y")].concat(), 1002),
        (frame(true, TEXT, b"\xff"), 1007),
        ([frame(false, TEXT, b"\xe2\x82"), frame(true, CONTINUATION, b"")].concat(), 1007),
        (frame(false, TEXT, b"\xc0\x80"), 1007),
        (frame(true, CLOSE, b"\x03"), 1002),
        (frame(true, CLOSE, &1005u16.to_be_bytes()), 1002),
        (frame(true, CLOSE, &[3, 0xe8, 0xff]), 1007),
        (frame(true, BINARY, &[0; 1001]), 1009),
        (vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1002),
    ];
    for (wire, code) in cases {
        assert_eq!(scan(&wire).1.map_err(Fault::code), Err(code), "{wire:?}");
    }
}

#[test]
fn pings_come_between_fragments() {
    let wire = [
        frame(false, TEXT, "€".as_bytes().split_at(1).0),
        frame(true, PING, b"now"),
        frame(true, CONTINUATION, "€".as_bytes().split_at(1).1),
        frame(true, CLOSE, &1000u16.to_be_bytes()),
    ]
    .concat();
    let expected = vec![Item::Ping(Bytes::from_static(b"now")), Item::Text("€".into()), Item::Close(Some(1000))];
    assert_eq!(scan(&wire), (expected, Ok(())));
}

fn message() -> impl Strategy<Value = (Vec<Vec<u8>>, Item)> {
    let text = (".{0,80}", proptest::collection::vec(any::<prop::sample::Index>(), 0..4));
    text.prop_map(|(text, cuts)| {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut from = 0;
        let count = cuts.len();
        let frames = cuts.into_iter().enumerate().map(|(at, to)| {
            let opcode = if at == 0 { TEXT } else { CONTINUATION };
            let piece = frame(at + 1 == count, opcode, &bytes[from..to]);
            from = to;
            piece
        });
        (frames.collect(), Item::Text(text))
    })
}

proptest! {
    /// However messages are fragmented and the bytes arrive, the same messages come out.
    #[test]
    fn cuts_change_nothing(messages in proptest::collection::vec(message(), 1..5), step in 1usize..40) {
        let wire: Vec<u8> = messages.iter().flat_map(|(frames, _)| frames.concat()).collect();
        let pieces: Vec<&[u8]> = wire.chunks(step).collect();
        let expected: Vec<Item> = messages.into_iter().map(|(_, item)| item).collect();
        prop_assert_eq!(scan_in(&pieces, LIMIT), (expected, Ok(())));
    }

    #[test]
    fn any_bytes_are_safe(wire in proptest::collection::vec(any::<u8>(), 0..300), step in 1usize..20) {
        let whole = scan(&wire);
        let pieces: Vec<&[u8]> = wire.chunks(step).collect();
        prop_assert_eq!(scan_in(&pieces, LIMIT), whole);
    }

    /// Memory follows what arrived, not what was claimed.
    #[test]
    fn memory_is_bounded(wire in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut scanner = Scanner::default();
        let mut input = &wire[..];
        while let Ok(Some(_)) = scanner.next(&mut input, LIMIT) {}
        if let Some(state) = &scanner.under_way {
            prop_assert!(state.payload.capacity() <= 2 * wire.len().max(8));
        }
    }
}
