//! What the demo says when it is up: where it is, and a command for each way in.

use super::demo::VIGIL_KEY;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The text, for an address of clients and one of operators.
pub fn banner(clients: SocketAddr, operators: SocketAddr) -> String {
    let clients = reachable(clients);
    let operators = reachable(operators);
    let url = format!("ws://{clients}/ws");
    let key = VIGIL_KEY;
    // Nothing in an address can end a quoted word of the shell. The commands begin their lines, so that
    // Python's second line is copied without an indent.
    format!(
        r#"ledgercast is up: a demo on embedded ledgers, with no network needed. Ctrl-C stops it.

  Browser    http://{clients}/
  Clients    {url} (Obsrvr Flow)
             ws://{clients}/xrpl (XRP Ledger: xrpl.js, xrpl-py)
             ws://{clients}/vigil/ws (MaticVigil, with the key {key})
             http://{clients}/planetmint/api/v1/ (Planetmint, which tells where its streams are)
             http://{clients}/bells (five-bells-ledger; demo only: alice:alice, bob:bob, admin:admin)
  Operators  http://{operators}/readyz and http://{operators}/metrics

Watch events with any of these:

# Python, after: pip install websockets
python3 -c 'from websockets.sync.client import connect
with connect("{url}") as ws: ws.send("{{\"type\":\"register\",\"filters\":{{}}}}"); any(print(text, flush=True) for text in ws)'

# Node, after: npm install ws
node -e 'const ws = new (require("ws"))("{url}"); ws.on("open", () => ws.send(JSON.stringify({{type: "register", filters: {{}}}}))); ws.on("message", text => console.log(String(text)))'

# websocat
echo '{{"type":"register","filters":{{}}}}' | websocat -n {url}

For a real ledger: ledgercast gen-config > my.yaml, then ledgercast serve --config my.yaml
"#
    )
}

/// An address that a client on this machine can connect to: the loopback for "every address".
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(clients: &str) -> String {
        banner(clients.parse().unwrap(), "127.0.0.1:9090".parse().unwrap())
    }

    #[test]
    fn has_a_command_for_each_way_in() {
        let text = text("127.0.0.1:8080");
        for command in [
            "\n  Browser    http://127.0.0.1:8080/\n",
            "\n  Operators  http://127.0.0.1:9090/readyz and http://127.0.0.1:9090/metrics\n",
            concat!(
                "\npython3 -c 'from websockets.sync.client import connect\n",
                r#"with connect("ws://127.0.0.1:8080/ws") as ws: ws.send("{\"type\":\"register\",\"filters\":{}}"); any(print(text, flush=True) for text in ws)'"#,
                "\n",
            ),
            concat!(
                "\n",
                r#"node -e 'const ws = new (require("ws"))("ws://127.0.0.1:8080/ws"); ws.on("open", () => ws.send(JSON.stringify({type: "register", filters: {}}))); ws.on("message", text => console.log(String(text)))'"#,
                "\n",
            ),
            concat!("\n", r#"echo '{"type":"register","filters":{}}' | websocat -n ws://127.0.0.1:8080/ws"#, "\n"),
        ] {
            assert!(text.contains(command), "{command}\nnot in\n{text}");
        }
    }

    #[test]
    fn names_an_address_that_can_be_reached() {
        assert!(text("0.0.0.0:81").contains("ws://127.0.0.1:81/ws"));
        assert!(text("[::]:81").contains("ws://[::1]:81/ws"));
    }
}
