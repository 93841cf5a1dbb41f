package tidegate

import (
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"time"
	"unsafe"
)

// ErrDrop is what a transform returns for an event that should not cross.
var ErrDrop = errors.New("the event should not cross")

// Event is a bus event: a CloudEvent 1.0.
type Event struct {
	// Type is its `type`.
	Type   string
	Source string
	ID     string
	// Subject is nil where it has none.
	Subject *string
	// Time is as RFC 3339 writes it, nil where it has none.
	Time *string
	// Data is all of its `data`, whatever the rule's `payload` made of it.
	Data jsontext.Value
}

// Crossing is an event on its way to a topic.
type Crossing struct {
	Event Event
	// Topic is where the rule leads.
	Topic string
	// Deadline is the time this call may take.
	Deadline time.Duration
}

var transform func(*Crossing, []byte) (any, error)

// Transform registers the function that makes the payload of a bridge rule of what the rule's `payload` made of the event.
// ErrDrop keeps the event from crossing; another error makes it a dead letter with that sentence, as does what is no Payload.
func Transform[Payload, Published any](function func(*Crossing, Payload) (Published, error)) {
	transform = func(crossing *Crossing, text []byte) (any, error) {
		payload, err := Read[Payload](text)
		if err != nil {
			return nil, fmt.Errorf("the payload: %w", err)
		}
		return function(crossing, payload)
	}
}

type applied struct {
	is      uint8
	payload abiMaybeText
}

type abiCrossing struct {
	event struct {
		kind, source, id abiText
		subject, time    abiMaybeText
		data             abiText
	}
	topic, payload abiText
	deadlineMs     uint32
}

func (given *abiCrossing) lift() *Crossing {
	event := &given.event
	return &Crossing{
		Event: Event{
			Type:    event.kind.lift(),
			Source:  event.source.lift(),
			ID:      event.id.lift(),
			Subject: event.subject.lift(),
			Time:    event.time.lift(),
			Data:    liftBytes(event.data),
		},
		Topic:    given.topic.lift(),
		Deadline: milliseconds(given.deadlineMs),
	}
}

//go:wasmexport tidegate:plugin/transform@0.3.0#apply
func exportApply(at unsafe.Pointer) unsafe.Pointer {
	given := (*abiCrossing)(at)
	text, err := called("transform", transform != nil, func() (abiText, error) {
		published, err := transform(given.lift(), liftBytes(given.payload))
		if err != nil {
			return abiText{}, err
		}
		return lowerJSON("the payload", published)
	})
	if errors.Is(err, ErrDrop) {
		return answer(applied{})
	}
	if err != nil {
		return failedWith(err)
	}
	return answer(applied{payload: abiMaybeText{1, text}})
}

//go:wasmexport cabi_post_tidegate:plugin/transform@0.3.0#apply
func afterApply(unsafe.Pointer) { letGo() }
