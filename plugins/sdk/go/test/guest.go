// The guest of `tests/e2e/guest.mjs` in Go: does what a message asks for.
package main

import (
	"encoding/hex"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"tidegate"
)

type order struct {
	N       *int           `json:"n"`
	Others  *int           `json:"others"`
	Gone    *int           `json:"gone"`
	Cleared bool           `json:"cleared"`
	Echo    jsontext.Value `json:"echo"`
	Context bool           `json:"context"`
	Config  string         `json:"config"`
	Log     string         `json:"log"`
	Host    bool           `json:"host"`
	Own     bool           `json:"own"`
	// A name that is asked for exactly.
	Field *struct {
		Name *string `json:"name"`
	} `json:"field"`
	Value  any      `json:"value"`
	Secret string   `json:"secret"`
	Kv     *kvOrder `json:"kv"`
	Query  *struct {
		Name   string `json:"name"`
		Params []any  `json:"params"`
	} `json:"query"`
	Fetch *struct {
		Method string  `json:"method"`
		URL    string  `json:"url"`
		Asked  string  `json:"asked"`
		Body   *string `json:"body"`
	} `json:"fetch"`
	// Asks for a reply that has no JSON.
	Unwritable bool   `json:"unwritable"`
	Refuse     string `json:"refuse"`
	Crash      bool   `json:"crash"`
	Recurse    bool   `json:"recurse"`
	Spin       bool   `json:"spin"`
	Hog        bool   `json:"hog"`
}

type kvOrder struct {
	Op         string  `json:"op"`
	Bucket     string  `json:"bucket"`
	Key        string  `json:"key"`
	Text       string  `json:"text"`
	Delta      int64   `json:"delta"`
	After      string  `json:"after"`
	Limit      int     `json:"limit"`
	IfRevision *uint64 `json:"if_revision"`
	TTLMs      int64   `json:"ttl_ms"`
}

type had map[string]any

func keep(order *kvOrder) (had, error) {
	bucket, conditions := tidegate.Bucket(order.Bucket), []tidegate.Condition{}
	ttl := time.Duration(order.TTLMs) * time.Millisecond
	if order.IfRevision != nil {
		conditions = append(conditions, tidegate.IfRevision(*order.IfRevision))
	}
	switch order.Op {
	case "get":
		entry, err := bucket.Get(order.Key)
		if entry == nil {
			return had{"entry": nil}, err
		}
		return had{"entry": had{"text": string(entry.Value), "revision": entry.Revision}}, nil
	case "put":
		revision, err := bucket.Put(order.Key, []byte(order.Text), append(conditions, tidegate.TTL(ttl))...)
		return had{"revision": revision}, err
	case "delete":
		existed, err := bucket.Delete(order.Key, conditions...)
		return had{"existed": existed}, err
	case "increment":
		sum, err := bucket.Increment(order.Key, order.Delta, ttl)
		return had{"sum": sum}, err
	default:
		keys, err := bucket.Keys(order.Key, order.After, order.Limit)
		return had{"keys": keys}, err
	}
}

// What is granted.
func granted(order order) (had, error) {
	switch {
	case order.Kv != nil:
		return keep(order.Kv)
	case order.Query != nil:
		rows, err := tidegate.Query[jsontext.Value](order.Query.Name, order.Query.Params...)
		return had{"rows": rows}, err
	case order.Fetch != nil:
		request := tidegate.Request{Method: order.Fetch.Method, URL: order.Fetch.URL}
		request.Headers = []tidegate.Pair{{Name: "x-asked", Value: order.Fetch.Asked}}
		if order.Fetch.Body != nil {
			request.Body = []byte(*order.Fetch.Body)
		}
		response, err := tidegate.Fetch(request)
		if err != nil {
			return nil, err
		}
		answered, _ := response.Header("x-answered")
		return had{"status": response.Status, "answered": answered, "body": string(response.Body)}, nil
	default:
		secret, err := tidegate.Secret(order.Secret)
		return had{"secret": secret}, err
	}
}

// Why it is not to be had.
func failed(err error) had {
	if conflict := (*tidegate.Conflict)(nil); errors.As(err, &conflict) {
		return had{"error": "conflict", "revision": conflict.Revision}
	}
	for name, kind := range map[string]error{
		"denied": tidegate.ErrDenied, "invalid": tidegate.ErrInvalid, "not-an-integer": tidegate.ErrNotAnInteger,
		"too-large": tidegate.ErrTooLarge, "unavailable": tidegate.ErrUnavailable,
	} {
		if errors.Is(err, kind) {
			return had{"error": name}
		}
	}
	return had{"error": err.Error()}
}

type pong struct {
	Pong int `json:"pong"`
}

type seen struct {
	N int `json:"n"`
}

func pairs(pairs []tidegate.Pair) [][2]string {
	list := [][2]string{}
	for _, pair := range pairs {
		list = append(list, [2]string{pair.Name, pair.Value})
	}
	return list
}

func contextValue(context *tidegate.Context) map[string]any {
	var user any
	if context.User != nil {
		user = map[string]any{"id": context.User.ID, "roles": context.User.Roles, "tenant": context.User.Tenant}
	}
	return map[string]any{
		"topic":          context.Topic,
		"channel":        context.Channel,
		"params":         pairs(context.Params),
		"user":           user,
		"connection_id":  context.ConnectionID,
		"received_at_ms": context.ReceivedAt.UnixMilli(),
		"deadline_ms":    context.Deadline.Milliseconds(),
		"attributes":     pairs(context.Attributes),
	}
}

func host() map[string]any {
	return map[string]any{
		"now_ms":    tidegate.Now().UnixMilli(),
		"sooner_us": tidegate.Monotonic().Microseconds(),
		"later_us":  tidegate.Monotonic().Microseconds(),
		"bytes":     hex.EncodeToString(tidegate.Random(16)),
		"number":    strconv.FormatUint(tidegate.RandomUint64(), 10),
	}
}

// What the language itself draws and reads.
func own() map[string]any {
	return map[string]any{"random": strconv.FormatInt(rand.Int64(), 10), "now_ms": time.Now().UnixMilli()}
}

func refuse(why string) error {
	switch why {
	case "invalid_payload":
		return tidegate.InvalidPayload("no %s today", "🦊")
	case "forbidden":
		return tidegate.Forbidden("no %s today", "🦊")
	case "unavailable":
		return tidegate.Unavailable("no %s today", "🦊")
	default:
		return errors.New("no 🦊 today")
	}
}

func recurse(n int) int { return n + recurse(n+1) }

var kept [][]byte

// The mistakes.
func misbehave(order order) {
	var nowhere *pong
	switch {
	case order.Crash:
		nowhere.Pong = 1
	case order.Recurse:
		recurse(0)
	case order.Spin:
		for {
		}
	case order.Hog:
		for {
			kept = append(kept, make([]byte, 1<<20))
		}
	}
}

func handle(context *tidegate.Context, order order) (tidegate.Outcome, error) {
	misbehave(order)
	switch {
	case order.N != nil:
		who := ""
		if context.User != nil {
			who = context.User.ID
		}
		answer := pong{*order.N}
		return tidegate.Reply(answer).
			Emit(context.Topic, answer, tidegate.Everyone).
			Publish("ping.seen", who, seen{*order.N}), nil
	case order.Others != nil:
		return tidegate.Outcome{}.Emit(context.Topic, pong{*order.Others}, tidegate.Others), nil
	case order.Gone != nil:
		return tidegate.Outcome{}.Remove(context.Topic, *order.Gone), nil
	case order.Cleared:
		return tidegate.Outcome{}.RemoveAll(context.Topic), nil
	case order.Echo != nil:
		return tidegate.Reply(order.Echo), nil
	case order.Context:
		return tidegate.Reply(contextValue(context)), nil
	case order.Config != "":
		value, err := tidegate.Config[any](order.Config)
		if errors.Is(err, tidegate.ErrNoKey) {
			return tidegate.Reply(nil), nil
		}
		return tidegate.Reply(value), err
	case order.Log != "":
		tidegate.Log(tidegate.Warn, order.Log, tidegate.Pair{Name: "colour", Value: "blue"})
		return tidegate.Outcome{}, nil
	case order.Host:
		return tidegate.Reply(host()), nil
	case order.Own:
		return tidegate.Reply(own()), nil
	case order.Field != nil:
		return tidegate.Reply(order.Field.Name), nil
	case order.Value != nil:
		return tidegate.Reply(order.Value), nil
	case order.Secret != "" || order.Kv != nil || order.Query != nil || order.Fetch != nil:
		had, err := granted(order)
		if err != nil {
			had = failed(err)
		}
		return tidegate.Reply(had), nil
	case order.Unwritable:
		return tidegate.Reply(map[string]any{"n": math.NaN()}), nil
	case order.Refuse != "":
		refused := tidegate.Reply(true).Emit(context.Topic, pong{666}, tidegate.Everyone)
		return refused, refuse(order.Refuse)
	default:
		return tidegate.Outcome{}, tidegate.InvalidPayload("what is to be done?")
	}
}

// Members of a vault may join it and send on it; nobody may say `crash` there.
func authorize(context *tidegate.Context, action tidegate.Action, payload jsontext.Value) (tidegate.Decision, error) {
	vault, ok := context.Param("vaultId")
	if !ok || vault == "broken" {
		return tidegate.Decision{}, errors.New("the vault is broken")
	}
	if vault == "away" {
		return tidegate.CannotTell("the vault is away"), nil
	}
	if action == tidegate.Send {
		if message, err := tidegate.Read[order](payload); err == nil && message.Crash {
			panic("crash")
		}
	}
	members, err := tidegate.Config[map[string][]string]("members")
	if err != nil {
		return tidegate.Decision{}, err
	}
	for _, member := range members[vault] {
		if context.User != nil && context.User.ID == member {
			return tidegate.Allow(0 * time.Second), nil
		}
	}
	return tidegate.Deny("no member of vault `%s`", vault), nil
}

type state struct {
	N  int     `json:"n"`
	To *string `json:"to"`
}

// As many payloads as the topic says, and who asked.
func provide(context *tidegate.Context) ([]state, error) {
	what, _ := context.Param("what")
	misbehave(order{Crash: what == "crash"})
	count, err := strconv.Atoi(what)
	if err != nil {
		return nil, fmt.Errorf("no state of `%s`", what)
	}
	states := []state{}
	for n := range count {
		states = append(states, state{n, &context.User.ID})
	}
	return states, nil
}

// Orders of 0 do not cross, and those below are none.
func transform(crossing *tidegate.Crossing, cents int) (map[string]any, error) {
	if cents == 0 {
		return nil, tidegate.ErrDrop
	}
	if cents < 0 {
		return nil, fmt.Errorf("a refund of %d is no order", -cents)
	}
	event := crossing.Event
	return map[string]any{
		"cents": cents, "type": event.Type, "source": event.Source, "id": event.ID, "subject": event.Subject, "time": event.Time,
		"data": event.Data, "topic": crossing.Topic,
	}, nil
}

type coming struct {
	Phase      string  `json:"phase"`
	User       *string `json:"user"`
	Connection string  `json:"connection"`
}

// Tells the lobby and the bus.
func listen(peer *tidegate.Peer, phase tidegate.Phase) (effects tidegate.Effects, err error) {
	told := coming{Phase: "connected", Connection: peer.ConnectionID}
	if phase == tidegate.Disconnected {
		told.Phase = "disconnected"
	}
	if peer.User != nil {
		told.User = &peer.User.ID
		if *told.User == "broken" && phase == tidegate.Connected {
			return effects, errors.New("not at home to `broken`")
		}
	}
	return effects.Emit("lobby", told, tidegate.Others).Publish("connection."+told.Phase, "", told), nil
}

func init() {
	tidegate.Handle(handle)
	tidegate.Authorize(authorize)
	tidegate.Provide(provide)
	tidegate.Transform(transform)
	tidegate.Listen(listen)
}

func main() {}
