package tidegate

import (
	"errors"
	"fmt"
	"unsafe"
)

// Why a message is not taken, as the contract counts.
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

// Outcome is the answer to a message. The zero value is no reply and no effects.
type Outcome struct {
	reply   any
	replies bool
	effects Effects
}

// Reply is an outcome with a receipt for the sender, as encoding/json/v2 writes it.
func Reply(value any) Outcome { return Outcome{reply: value, replies: true} }

// Emit publishes on a topic once the call succeeded. Needs the topic's channel in `grants.emit`.
func (outcome Outcome) Emit(topic string, payload any, to Audience) Outcome {
	outcome.effects = outcome.effects.Emit(topic, payload, to)
	return outcome
}

// Publish puts an event on the bus once the call succeeded. Needs the type in `grants.publish`. An empty subject is none.
func (outcome Outcome) Publish(kind, subject string, data any) Outcome {
	outcome.effects = outcome.effects.Publish(kind, subject, data)
	return outcome
}

// Remove takes the retained value of a key away once the call succeeded. Needs the topic's channel in `grants.emit`.
func (outcome Outcome) Remove(topic string, key any) Outcome {
	outcome.effects = outcome.effects.Remove(topic, key)
	return outcome
}

// RemoveAll takes every retained value of a topic away once the call succeeded.
func (outcome Outcome) RemoveAll(topic string) Outcome {
	outcome.effects = outcome.effects.RemoveAll(topic)
	return outcome
}

var handle func(*Context, []byte) (Outcome, error)

// Handle registers the function that answers messages. What is no Payload is refused as `invalid_payload` before it runs.
func Handle[Payload any](function func(*Context, Payload) (Outcome, error)) {
	handle = func(context *Context, text []byte) (Outcome, error) {
		payload, err := Read[Payload](text)
		if err != nil {
			return Outcome{}, InvalidPayload("%v", err)
		}
		return function(context, payload)
	}
}

type handled struct {
	is      uint8
	outcome struct {
		reply   abiMaybeText
		effects abiList
	}
}

type refused struct {
	is      uint8
	refusal struct {
		is       uint8
		sentence abiText
	}
	_ [3]uint32
}

//go:wasmexport tidegate:plugin/handler@0.3.0#handle
func exportHandle(at unsafe.Pointer) unsafe.Pointer {
	question := (*struct {
		context abiContext
		payload abiText
	})(at)
	lowered, err := called("handler", handle != nil, func() (lowered handled, err error) {
		outcome, err := handle(question.context.lift(), liftBytes(question.payload))
		if err != nil {
			return lowered, err
		}
		if outcome.replies {
			lowered.outcome.reply.isSome = 1
			if lowered.outcome.reply.text, err = lowerJSON("the reply", outcome.reply); err != nil {
				return lowered, err
			}
		}
		lowered.outcome.effects, err = outcome.effects.lower()
		return lowered, err
	})
	if err == nil {
		return answer(lowered)
	}
	no := refused{is: abiError}
	no.refusal.is = uint8(failed)
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		no.refusal.is = uint8(refusal.reason)
	}
	no.refusal.sentence = lowerBytes(err.Error())
	return answer(no)
}

//go:wasmexport cabi_post_tidegate:plugin/handler@0.3.0#handle
func afterHandle(unsafe.Pointer) { letGo() }
