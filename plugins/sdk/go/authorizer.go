package tidegate

import (
	"encoding/json/jsontext"
	"fmt"
	"math"
	"time"
	"unsafe"
)

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

// Decision is a yes, a no, or neither; the zero value is a no.
type Decision struct {
	allowed  bool
	unknown  bool
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

// CannotTell says neither: what the answer depends on is away. The client may try again; what it holds already it keeps. The
// sentence goes to the log. An error says the same where the host did not answer (a query, Fetch, a bucket).
func CannotTell(format string, values ...any) Decision {
	return Decision{unknown: true, sentence: fmt.Sprintf(format, values...)}
}

var authorize func(*Context, Action, jsontext.Value) (Decision, error)

// Authorize registers the function that decides. The payload is nil unless the action has one; `Read` reads
// it. An error denies.
func Authorize(function func(*Context, Action, jsontext.Value) (Decision, error)) {
	authorize = function
}

const (
	abiAllow      = 0
	abiDeny       = 1
	abiCannotTell = 2
)

type allowed struct {
	is       uint8
	decision struct {
		is    uint8
		grant struct {
			ttlMs uint32
			user  abiMaybeUser
		}
	}
}

// A no, or that it cannot tell.
type denied struct {
	is       uint8
	decision struct {
		is       uint8
		sentence abiText
	}
	_ [8]uint32
}

// An answer that is an error in words, with room for the other.
type failure struct {
	is    uint8
	error abiText
	_     [8]uint32
}

func failedWith(err error) unsafe.Pointer {
	return answer(failure{is: abiError, error: lowerBytes(err.Error())})
}

//go:wasmexport tidegate:plugin/authorizer@0.3.0#authorize
func exportAuthorize(at unsafe.Pointer) unsafe.Pointer {
	question := (*struct {
		context abiContext
		action  uint8
		payload abiMaybeText
	})(at)
	decision, err := called("authorizer", authorize != nil, func() (Decision, error) {
		var payload jsontext.Value
		if question.payload.isSome != 0 {
			payload = liftBytes(question.payload.text)
		}
		return authorize(question.context.lift(), Action(question.action), payload)
	})
	if err != nil {
		return failedWith(err)
	}
	if !decision.allowed {
		no := denied{}
		no.decision.is = abiDeny
		if decision.unknown {
			no.decision.is = abiCannotTell
		}
		no.decision.sentence = lowerBytes(decision.sentence)
		return answer(no)
	}
	yes := allowed{}
	yes.decision.is = abiAllow
	yes.decision.grant.ttlMs = uint32(min(max(decision.ttl.Milliseconds(), 0), math.MaxUint32))
	yes.decision.grant.user = lowerUser(decision.user)
	return answer(yes)
}

//go:wasmexport cabi_post_tidegate:plugin/authorizer@0.3.0#authorize
func afterAuthorize(unsafe.Pointer) { letGo() }
