// Package tidegate is the plugin's side of the contract in `wit/`: payloads as values instead of JSON text, errors and
// panics as refusals. A plugin registers its functions in `init` and has an empty `main`.
package tidegate

import (
	"encoding/json"
	"fmt"
	"time"
)

// User is who a connection belongs to.
type User struct {
	ID    string
	Roles []string
	// Tenant is nil where the credential names none.
	Tenant *string
}

// Pair is a name and its value.
type Pair struct{ Name, Value string }

// Context is who asks, on which topic, and how long there is to answer.
type Context struct {
	Topic   string
	Channel string
	// Params are in the order of the channel's template.
	Params []Pair
	// User is nil on an anonymous connection.
	User         *User
	ConnectionID string
	ReceivedAt   time.Time
	// Deadline is the time this call may take.
	Deadline   time.Duration
	Attributes []Pair
}

// Param is the value of a param of the channel's template.
func (context *Context) Param(name string) (string, bool) {
	for _, pair := range context.Params {
		if pair.Name == name {
			return pair.Value, true
		}
	}
	return "", false
}

// Why a message is not taken.
type reason uint8

const (
	invalidPayload reason = iota
	forbidden
	unavailable
	failed
)

// Refusal is the error of a message that is not taken. Any other error is a failure of the plugin.
type Refusal struct {
	reason   reason
	sentence string
}

// Error is the sentence.
func (refusal *Refusal) Error() string { return refusal.sentence }

// InvalidPayload refuses a message that is not acceptable. The client sees the sentence.
func InvalidPayload(format string, values ...any) error {
	return refuse(invalidPayload, format, values)
}

// Forbidden refuses a message that this user may not send.
func Forbidden(format string, values ...any) error { return refuse(forbidden, format, values) }

// Unavailable refuses a message that may be taken later.
func Unavailable(format string, values ...any) error { return refuse(unavailable, format, values) }

// Failed refuses a message because the plugin could not do its work.
func Failed(format string, values ...any) error { return refuse(failed, format, values) }

func refuse(why reason, format string, values []any) error {
	return &Refusal{why, fmt.Sprintf(format, values...)}
}

// Audience is who receives an emit.
type Audience uint8

const (
	// Everyone is every subscriber of the topic.
	Everyone Audience = iota
	// Others is every subscriber but the connection that sent the message.
	Others
)

type effect struct {
	publishes bool
	// The topic of an emit, the type of a publish.
	name    string
	subject string
	payload any
	to      Audience
}

// Outcome is the answer to a message. The zero value is no reply and no effects.
type Outcome struct {
	reply   any
	replies bool
	effects []effect
}

// Reply is an outcome with a receipt for the sender, as encoding/json writes it.
func Reply(value any) Outcome { return Outcome{reply: value, replies: true} }

// Emit publishes on a topic once the call succeeded. Needs the topic's channel in `grants.emit`.
func (outcome Outcome) Emit(topic string, payload any, to Audience) Outcome {
	outcome.effects = append(outcome.effects, effect{name: topic, payload: payload, to: to})
	return outcome
}

// Publish puts an event on the bus once the call succeeded. Needs the type in `grants.publish`. An empty subject is none.
func (outcome Outcome) Publish(kind, subject string, data any) Outcome {
	outcome.effects = append(outcome.effects, effect{publishes: true, name: kind, subject: subject, payload: data})
	return outcome
}

// Action is what a connection wants to do.
type Action uint8

const (
	// Connect asks whom the credential in the payload belongs to.
	Connect Action = iota
	// Subscribe asks to join the topic.
	Subscribe
	// Send asks to send the payload on the topic.
	Send
)

// Decision is a yes or a no; the zero value is a no.
type Decision struct {
	allowed  bool
	ttl      time.Duration
	user     *User
	sentence string
}

// Allow says yes. The host may answer the same question by itself for `ttl`.
func Allow(ttl time.Duration) Decision { return Decision{allowed: true, ttl: ttl} }

// AllowUser says yes to a Connect, and whom the credential belongs to.
func AllowUser(ttl time.Duration, user User) Decision {
	return Decision{allowed: true, ttl: ttl, user: &user}
}

// Deny says no. The sentence goes to the log.
func Deny(format string, values ...any) Decision {
	return Decision{sentence: fmt.Sprintf(format, values...)}
}

var (
	handle    func(*Context, []byte) (Outcome, error)
	authorize func(*Context, Action, json.RawMessage) (Decision, error)
)

// Handle registers the function that answers messages. What is no Payload is refused as `invalid_payload` before it runs.
func Handle[Payload any](function func(*Context, Payload) (Outcome, error)) {
	handle = func(context *Context, text []byte) (Outcome, error) {
		var payload Payload
		if err := json.Unmarshal(text, &payload); err != nil {
			return Outcome{}, InvalidPayload("%v", err)
		}
		return function(context, payload)
	}
}

// Authorize registers the function that decides. The payload is nil unless the action has one. An error denies.
func Authorize(function func(*Context, Action, json.RawMessage) (Decision, error)) {
	authorize = function
}
