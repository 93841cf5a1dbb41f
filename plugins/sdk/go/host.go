package tidegate

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"tidegate/internal/gen/tidegate_host_clock"
	"tidegate/internal/gen/tidegate_host_config"
	"tidegate/internal/gen/tidegate_host_log"
	"tidegate/internal/gen/tidegate_host_random"
	wit "tidegate/internal/wit/types"
)

// Level is how much a line of the log matters.
type Level uint8

// The levels, from step by step to what went wrong.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

// Log writes a line of the server's log.
func Log(level Level, message string, fields ...Pair) {
	list := make([]wit.Tuple2[string, string], 0, len(fields))
	for _, field := range fields {
		list = append(list, wit.Tuple2[string, string]{F0: field.Name, F1: field.Value})
	}
	tidegate_host_log.Write(uint8(level), message, list)
}

// ErrNoKey says that `config:` has no such key.
var ErrNoKey = errors.New("no such key in the config")

// Config is the value of one key of `config:`.
func Config[Value any](key string) (value Value, err error) {
	text := tidegate_host_config.Get(key)
	if text.Tag() != wit.OptionSome {
		return value, fmt.Errorf("`%s`: %w", key, ErrNoKey)
	}
	if err := json.Unmarshal([]byte(text.Some()), &value); err != nil {
		return value, fmt.Errorf("config `%s`: %w", key, err)
	}
	return value, nil
}

// Now is the time. `time.Now` does not have it: Go's run time gets a clock that only counts its calls.
func Now() time.Time { return time.UnixMilli(int64(tidegate_host_clock.NowMs())) }

// Monotonic is the time since some moment; never goes back.
func Monotonic() time.Duration {
	return time.Duration(tidegate_host_clock.MonotonicUs()) * time.Microsecond
}

// What the host gives at once.
const randomBytesMax = 65536

// Random is `count` random bytes, fit for keys. `crypto/rand` and `math/rand` are not: they repeat in every instance.
func Random(count int) []byte {
	bytes := make([]byte, 0, count)
	for len(bytes) < count {
		bytes = append(bytes, tidegate_host_random.Bytes(uint32(min(count-len(bytes), randomBytesMax)))...)
	}
	return bytes
}

// RandomUint64 is a random number.
func RandomUint64() uint64 { return tidegate_host_random.NextU64() }
