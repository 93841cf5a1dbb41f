package tidegate

import (
	"errors"
	"fmt"
)

// What the host offers by grant fails with one of these; errors.Is finds it.
var (
	// ErrDenied says that it is not in `grants`.
	ErrDenied = errors.New("not granted")
	// ErrMissing says that there is none.
	ErrMissing = errors.New("there is none")
	// ErrInvalid says that something is not what it should be.
	ErrInvalid = errors.New("invalid")
	// ErrTooLarge says that it is larger than the host takes.
	ErrTooLarge = errors.New("larger than the host takes")
	// ErrRateLimited says that there were more calls a second than the limits allow.
	ErrRateLimited = errors.New("more calls a second than the limits allow")
	// ErrTimeout says that it took too long.
	ErrTimeout = errors.New("it took too long")
	// ErrUnavailable says that what should answer is away.
	ErrUnavailable = errors.New("unavailable")
)

// told is an error of one of these kinds about something.
func told(what string, kind error, sentence abiText) error {
	if sentence.len == 0 {
		return fmt.Errorf("%s: %w", what, kind)
	}
	return fmt.Errorf("%s: %w: %s", what, kind, sentence.lift())
}

// word is a text in eight bytes of an answer.
func word(of uint64) abiText { return abiText{uint32(of), uint32(of >> 32)} }
