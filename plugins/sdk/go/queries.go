package tidegate

import (
	"encoding/json/v2"
	"fmt"
	"unsafe"
)

//go:wasmimport tidegate:sql/queries@0.1.0 run
func importQueriesRun(name, params string, answer unsafe.Pointer)

// An answer of a text, or an error with or without a sentence.
type wordedAnswer struct {
	is    uint8
	first uint32
	rest  [4]uint32
}

// The errors as the contract counts.
var queryErrors = [...]error{ErrDenied, ErrInvalid, ErrTooLarge, ErrRateLimited, ErrTimeout, ErrUnavailable}

// Query runs one of `grants.queries`, a value a placeholder, and reads its rows, objects with the columns by name.
func Query[Row any](name string, params ...any) ([]Row, error) {
	what := "query `" + name + "`"
	text, err := json.Marshal(append([]any{}, params...))
	if err != nil {
		return nil, fmt.Errorf("%s: the params have no JSON: %w", what, err)
	}
	answer := asked[wordedAnswer]()
	importQueriesRun(name, string(text), unsafe.Pointer(answer))
	if answer.is == abiOk {
		rows, err := Read[[]Row](liftBytes(abiText{answer.first, answer.rest[0]}))
		if err != nil {
			return nil, fmt.Errorf("%s: a row: %w", what, err)
		}
		return rows, nil
	}
	return nil, told(what, queryErrors[uint8(answer.first)], abiText{answer.rest[0], answer.rest[1]})
}
