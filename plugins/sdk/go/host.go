package tidegate

import (
	"errors"
	"fmt"
	"time"
	"unsafe"
)

//go:wasmimport tidegate:host/log@0.1.0 write
func importLogWrite(level uint32, message string, fields, fieldsLen uint32)

//go:wasmimport tidegate:host/config@0.1.0 get
func importConfigGet(key string, answer unsafe.Pointer)

//go:wasmimport tidegate:host/clock@0.1.0 now-ms
func importClockNowMs() uint64

//go:wasmimport tidegate:host/clock@0.1.0 monotonic-us
func importClockMonotonicUs() uint64

//go:wasmimport tidegate:host/random@0.1.0 bytes
func importRandomBytes(count uint32, answer unsafe.Pointer)

//go:wasmimport tidegate:host/random@0.1.0 next-u64
func importRandomNextU64() uint64

// asked is where the host writes what an import answers.
func asked[Answer any]() *Answer {
	answer := new(Answer)
	held = append(held, answer)
	return answer
}

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
	list := lowerPairs(fields)
	importLogWrite(uint32(level), message, list.at, list.len)
}

// ErrNoKey says that `config:` has no such key.
var ErrNoKey = errors.New("no such key in the config")

// Config is the value of one key of `config:`.
func Config[Value any](key string) (value Value, err error) {
	text := asked[abiMaybeText]()
	importConfigGet(key, unsafe.Pointer(text))
	if text.isSome == 0 {
		return value, fmt.Errorf("`%s`: %w", key, ErrNoKey)
	}
	if value, err = Read[Value](liftBytes(text.text)); err != nil {
		return value, fmt.Errorf("config `%s`: %w", key, err)
	}
	return value, nil
}

// Now is the time. `time.Now` is that of when the call began: see wasi.wat.
func Now() time.Time { return time.UnixMilli(int64(importClockNowMs())) }

// Monotonic is the time since some moment; never goes back.
func Monotonic() time.Duration {
	return time.Duration(importClockMonotonicUs()) * time.Microsecond
}

// What the host gives at once.
const randomBytesMax = 65536

// Random is `count` random bytes, fit for keys. `crypto/rand` reads the same source.
func Random(count int) []byte {
	bytes := make([]byte, 0, count)
	for len(bytes) < count {
		given := asked[abiText]()
		importRandomBytes(uint32(min(count-len(bytes), randomBytesMax)), unsafe.Pointer(given))
		bytes = append(bytes, liftBytes(*given)...)
	}
	return bytes
}

// RandomUint64 is a random number.
func RandomUint64() uint64 { return importRandomNextU64() }
