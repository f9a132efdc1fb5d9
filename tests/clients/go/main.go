// Flow's guide for Go, with its library gorilla/websocket and its calls: dial, read the welcome, send
// the registration, read one message after the other.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"reflect"
	"regexp"
	"time"

	"github.com/gorilla/websocket"
)

const (
	enough   = 10
	patience = 40 * time.Second
)

type clientFilters struct {
	Types      []string `json:"types"`
	AccountIDs []string `json:"account_ids"`
	AssetCodes []string `json:"asset_codes"`
	MinAmount  string   `json:"min_amount"`
}

type registrationMessage struct {
	Type    string        `json:"type"`
	Filters clientFilters `json:"filters"`
}

type object = map[string]interface{}

var (
	transactionHash = regexp.MustCompile(`^[0-9a-f]{64}$`)
	contractID      = regexp.MustCompile(`^C[A-Z2-7]{55}$`)
	closedAt        = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
)

func main() {
	log.SetFlags(0)
	url := os.Getenv("FLOW_URL")
	if url == "" {
		url = "ws://127.0.0.1:8080/ws"
	}
	connection, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		log.Fatal("dial: ", err)
	}
	defer connection.Close()
	// Without it a server that falls silent would be waited for without end.
	if err := connection.SetReadDeadline(time.Now().Add(patience)); err != nil {
		log.Fatal("deadline: ", err)
	}

	noFilters := object{"types": []interface{}{}, "account_ids": []interface{}{}, "asset_codes": []interface{}{}, "min_amount": ""}
	expect("the welcome", read(connection), object{
		"type":    "welcome",
		"message": "Please send registration message to begin receiving events",
		"format":  object{"type": "register", "filters": noFilters},
	})

	registration, err := json.Marshal(registrationMessage{
		Type: "register",
		Filters: clientFilters{
			Types:      []string{"contract_event"},
			AccountIDs: []string{},
			AssetCodes: []string{"USDC"},
		},
	})
	if err != nil {
		log.Fatal("registration: ", err)
	}
	if err := connection.WriteMessage(websocket.TextMessage, registration); err != nil {
		log.Fatal("write: ", err)
	}
	expect("the answer to the registration", read(connection), object{
		"type":    "registered",
		"message": "Registration successful, processing queued events",
		"filters": object{
			"types":       []interface{}{"contract_event"},
			"account_ids": []interface{}{},
			"asset_codes": []interface{}{"USDC"},
			"min_amount":  "",
		},
	})

	ids := map[string]bool{}
	lastID, lastLedger := "", 0.0
	for len(ids) < enough {
		event := read(connection)
		check(event, event["type"] == "contract_event", "another type than asked for")
		check(event, event["asset_code"] == "USDC", "another asset than asked for")
		check(event, matches(contractID, event["contract_id"]), "no contract")
		check(event, matches(transactionHash, event["transaction_hash"]), "no transaction")
		check(event, matches(closedAt, event["ledger_closed_at"]), "no close time")
		topics, isList := event["topics"].([]interface{})
		check(event, isList && len(topics) > 0, "no topics")
		check(event, event["data"] != nil, "no data")

		id, isText := event["id"].(string)
		check(event, isText && !ids[id], "an id twice, or none")
		// Ids of contract events have one length and sort as text; so does the stream.
		check(event, id > lastID && len(id) == 30, "out of order after "+lastID)
		ledger, isNumber := event["ledger"].(float64)
		check(event, isNumber && ledger >= lastLedger, "out of order")
		ids[id] = true
		lastID, lastLedger = id, ledger
	}

	// The guide's sample only cuts the connection; a polite client says so and is answered.
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := connection.WriteMessage(websocket.CloseMessage, goodbye); err != nil {
		log.Fatal("close: ", err)
	}
	for {
		if _, _, err := connection.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				log.Fatal("the close was not answered with 1000: ", err)
			}
			break
		}
	}
	fmt.Printf("%d USDC contract events, each as filtered\n", len(ids))
}

// read gives the next message, which is one JSON object in a text frame.
func read(connection *websocket.Conn) object {
	kind, text, err := connection.ReadMessage()
	if err != nil {
		log.Fatal("read: ", err)
	}
	if kind != websocket.TextMessage {
		log.Fatalf("no text frame: %q", text)
	}
	var message object
	if err := json.Unmarshal(text, &message); err != nil {
		log.Fatalf("%v: %s", err, text)
	}
	return message
}

func expect(what string, got, expected object) {
	if !reflect.DeepEqual(got, expected) {
		log.Fatalf("%s: expected %v, got %v", what, expected, got)
	}
}

func check(event object, holds bool, fault string) {
	if !holds {
		log.Fatalf("%s: %v", fault, event)
	}
}

func matches(pattern *regexp.Regexp, value interface{}) bool {
	text, isText := value.(string)
	return isText && pattern.MatchString(text)
}
