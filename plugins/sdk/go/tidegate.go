// Package tidegate is the plugin's side of the contract in `wit/`: payloads as values instead of JSON text, errors and
// panics as refusals. A plugin registers the functions of its kinds in `init` (Handle, Authorize, Provide, Transform,
// Listen) and has an empty `main`.
package tidegate

import (
	"errors"
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

func (given *abiContext) lift() *Context {
	return &Context{
		Topic:        given.topic.lift(),
		Channel:      given.channel.lift(),
		Params:       given.params.liftPairs(),
		User:         given.user.lift(),
		ConnectionID: given.connectionID.lift(),
		ReceivedAt:   time.UnixMilli(int64(given.receivedAtMs)),
		Deadline:     milliseconds(given.deadlineMs),
		Attributes:   given.attributes.liftPairs(),
	}
}

// Sets the clock of `time.Now`: see wasi.wat.
//
//go:wasmimport wasi_snapshot_preview1 tidegate_call_begins
func importCallBegins()

// called runs a function of the plugin and makes an error of a panic, so that it costs no instance.
func called[Answer any](kind string, registered bool, function func() (Answer, error)) (answer Answer, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	if !registered {
		return answer, errors.New("the plugin registered no " + kind)
	}
	importCallBegins()
	return function()
}

func milliseconds(ms uint32) time.Duration { return time.Duration(ms) * time.Millisecond }
