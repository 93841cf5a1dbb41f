package tidegate

import (
	"time"
	"unsafe"
)

// Phase is what happened to a connection.
type Phase uint8

const (
	// Connected is that it was let in.
	Connected Phase = iota
	// Disconnected is that it ended. It comes once for every Connected, and after it.
	Disconnected
)

// Peer is a connection.
type Peer struct {
	ConnectionID string
	// User is nil on an anonymous connection.
	User       *User
	ReceivedAt time.Time
	// Deadline is the time this call may take.
	Deadline time.Duration
}

var listen func(*Peer, Phase) (Effects, error)

// Listen registers the function that hears of connections that come and go, and says what should happen then.
func Listen(function func(*Peer, Phase) (Effects, error)) { listen = function }

type changed struct {
	is      uint8
	effects abiList
}

// Few enough fields that the record arrives as arguments, one by one.
//
//go:wasmexport tidegate:plugin/connection@0.3.0#changed
func exportChanged(
	connection, connectionLen uint32,
	hasUser, id, idLen, roles, rolesLen, hasTenant, tenant, tenantLen uint32,
	receivedAtMs uint64, deadlineMs, phase uint32,
) unsafe.Pointer {
	user := abiMaybeUser{uint8(hasUser), abiUser{
		abiText{id, idLen}, abiList{roles, rolesLen}, abiMaybeText{uint8(hasTenant), abiText{tenant, tenantLen}},
	}}
	effects, err := called("connection listener", listen != nil, func() (abiList, error) {
		wanted, err := listen(&Peer{
			ConnectionID: abiText{connection, connectionLen}.lift(),
			User:         user.lift(),
			ReceivedAt:   time.UnixMilli(int64(receivedAtMs)),
			Deadline:     milliseconds(deadlineMs),
		}, Phase(phase))
		if err != nil {
			return abiList{}, err
		}
		return wanted.lower()
	})
	if err != nil {
		return failedWith(err)
	}
	return answer(changed{effects: effects})
}

//go:wasmexport cabi_post_tidegate:plugin/connection@0.3.0#changed
func afterChanged(unsafe.Pointer) { letGo() }
