package tidegate

import (
	"errors"
	"fmt"
	"math"
	"time"
	"unsafe"
)

//go:wasmimport tidegate:kv/store@0.1.0 get
func importKvGet(bucket, key string, answer unsafe.Pointer)

//go:wasmimport tidegate:kv/store@0.1.0 put
func importKvPut(bucket, key, value string, hasIf uint32, ifRevision uint64, hasTTL uint32, ttlMs uint64, answer unsafe.Pointer)

//go:wasmimport tidegate:kv/store@0.1.0 delete
func importKvDelete(bucket, key string, hasIf uint32, ifRevision uint64, answer unsafe.Pointer)

//go:wasmimport tidegate:kv/store@0.1.0 increment
func importKvIncrement(bucket, key string, delta int64, hasTTL uint32, ttlMs uint64, answer unsafe.Pointer)

//go:wasmimport tidegate:kv/store@0.1.0 keys
func importKvKeys(bucket, prefix string, hasAfter uint32, after string, limit uint32, answer unsafe.Pointer)

// Bucket is a bucket of keys that survive a restart, shared by all instances: `tidegate.Bucket("ping")`. Needs its name in
// `grants.kv`.
type Bucket string

// Entry is a value and its revision, which grows with every write of the key and is never 0.
type Entry struct {
	Value    []byte
	Revision uint64
}

// Conflict is the error of a write whose key has another revision.
type Conflict struct {
	// Revision is the one it has, 0 when there is no such key.
	Revision uint64
}

// Error says so.
func (conflict *Conflict) Error() string {
	return fmt.Sprintf("the key has revision %d", conflict.Revision)
}

// ErrNotAnInteger says that Increment met a value that is none, or that the sum is out of range.
var ErrNotAnInteger = errors.New("no integer, or out of range")

// Condition is of a write.
type Condition struct {
	hasIf      bool
	ifRevision uint64
	ttl        time.Duration
}

// IfRevision writes only when the key has this revision now.
func IfRevision(revision uint64) Condition { return Condition{hasIf: true, ifRevision: revision} }

// IfAbsent writes only when there is no such key.
func IfAbsent() Condition { return IfRevision(0) }

// TTL lets the key go after this time.
func TTL(ttl time.Duration) Condition { return Condition{ttl: ttl} }

func all(conditions []Condition) (sum Condition) {
	for _, condition := range conditions {
		if condition.hasIf {
			sum.hasIf, sum.ifRevision = true, condition.ifRevision
		}
		if condition.ttl > 0 {
			sum.ttl = condition.ttl
		}
	}
	return sum
}

func flag(is bool) uint32 {
	if is {
		return 1
	}
	return 0
}

func ttlMs(ttl time.Duration) (has uint32, ms uint64) {
	// A part of a millisecond is one: 0 would be for ever.
	return flag(ttl > 0), uint64(max(ttl+time.Millisecond-1, 0) / time.Millisecond)
}

// The errors as the contract counts; a conflict carries a revision.
var kvErrors = [...]error{ErrDenied, ErrTooLarge, nil, ErrNotAnInteger, ErrRateLimited, ErrUnavailable}

const abiConflict = 2

// An answer in words of eight bytes: whether it is an error, then the value, or which error it is, and what it carries.
type kvAnswer [4]uint64

func (answer *kvAnswer) failed(bucket Bucket) error {
	if uint8(answer[0]) == abiOk {
		return nil
	}
	what := "bucket `" + string(bucket) + "`"
	is := uint8(answer[1])
	if is == abiConflict {
		return fmt.Errorf("%s: %w", what, &Conflict{answer[2]})
	}
	return told(what, kvErrors[is], word(answer[2]))
}

// Get is the value of a key, nil when there is none.
func (bucket Bucket) Get(key string) (*Entry, error) {
	answer := asked[kvAnswer]()
	importKvGet(string(bucket), key, unsafe.Pointer(answer))
	if err := answer.failed(bucket); err != nil || uint8(answer[1]) == 0 {
		return nil, err
	}
	return &Entry{liftBytes(word(answer[2])), answer[3]}, nil
}

// Put writes a key and returns its new revision. A Conflict says that the condition does not hold.
func (bucket Bucket) Put(key string, value []byte, conditions ...Condition) (revision uint64, err error) {
	answer, condition := asked[kvAnswer](), all(conditions)
	has, ms := ttlMs(condition.ttl)
	text := unsafe.String(unsafe.SliceData(value), len(value))
	importKvPut(string(bucket), key, text, flag(condition.hasIf), condition.ifRevision, has, ms, unsafe.Pointer(answer))
	if err := answer.failed(bucket); err != nil {
		return 0, err
	}
	return answer[1], nil
}

// Delete deletes a key and says whether there was one.
func (bucket Bucket) Delete(key string, conditions ...Condition) (existed bool, err error) {
	answer, condition := asked[kvAnswer](), all(conditions)
	importKvDelete(string(bucket), key, flag(condition.hasIf), condition.ifRevision, unsafe.Pointer(answer))
	if err := answer.failed(bucket); err != nil {
		return false, err
	}
	return uint8(answer[1]) != 0, nil
}

// Increment adds to an integer that is kept as decimal text, 0 when there is no such key, and returns the sum. A key made by
// it lives for `ttl`, or for ever where that is 0.
func (bucket Bucket) Increment(key string, delta int64, ttl time.Duration) (sum int64, err error) {
	answer := asked[kvAnswer]()
	has, ms := ttlMs(ttl)
	importKvIncrement(string(bucket), key, delta, has, ms, unsafe.Pointer(answer))
	if err := answer.failed(bucket); err != nil {
		return 0, err
	}
	return int64(answer[1]), nil
}

// Keys are those that begin with a prefix, in order, after `after` (the first where that is empty), at most `limit` and
// never more than 1,000.
func (bucket Bucket) Keys(prefix, after string, limit int) ([]string, error) {
	answer := asked[kvAnswer]()
	most := uint32(min(max(limit, 0), math.MaxUint32))
	importKvKeys(string(bucket), prefix, flag(after != ""), after, most, unsafe.Pointer(answer))
	if err := answer.failed(bucket); err != nil {
		return nil, err
	}
	return abiList(word(answer[1])).liftTexts(), nil
}
