package tidegate

import (
	"encoding/json"
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
		var rows []Row
		if err := json.Unmarshal(liftBytes(abiText{answer.first, answer.rest[0]}), &rows); err != nil {
			return nil, fmt.Errorf("%s: a row: %w", what, err)
		}
		return rows, nil
	}
	sentence := abiText{answer.rest[0], answer.rest[1]}
	switch uint8(answer.first) {
	case 0:
		return nil, told(what, ErrDenied, abiText{})
	case 1:
		return nil, told(what, ErrInvalid, sentence)
	case 2:
		return nil, told(what, ErrTooLarge, abiText{})
	case 3:
		return nil, told(what, ErrRateLimited, abiText{})
	case 4:
		return nil, told(what, ErrTimeout, abiText{})
	default:
		return nil, told(what, ErrUnavailable, sentence)
	}
}
