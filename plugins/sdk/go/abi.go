package tidegate

import "unsafe"

// How the canonical ABI of the component model lays the types of `wit/` out in memory. Go lays structs of these fields out
// the same way; only pointers are wider here than there, and so are written as numbers.

type (
	abiText struct{ at, len uint32 }
	abiList struct{ at, len uint32 }

	abiMaybeText struct {
		isSome uint8
		text   abiText
	}
	abiPair struct{ name, value abiText }

	abiUser struct {
		id     abiText
		roles  abiList
		tenant abiMaybeText
	}
	abiMaybeUser struct {
		isSome uint8
		user   abiUser
	}
	abiContext struct {
		topic, channel abiText
		params         abiList
		user           abiMaybeUser
		connectionID   abiText
		receivedAtMs   uint64
		deadlineMs     uint32
		attributes     abiList
	}
	// An emit: topic; payload, audience. Or a publish: type; whether there is a subject, subject, data. Or a removal: topic;
	// whether there is a key, key.
	abiEffect struct {
		is   uint8
		name abiText
		rest [5]uint32
	}
)

const (
	abiOk    = 0
	abiError = 1

	abiEmit    = 0
	abiPublish = 1
	abiRemove  = 2
)

// The host finds what it asked room for, and what it is answered, only by its number, which the garbage collector does not
// see: both are held here until the call is over.
var held []any

// cabi_realloc is where the host puts what it passes.
//
//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, newSize uint32) unsafe.Pointer {
	taken := room(newSize, align)
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(taken), newSize), unsafe.Slice((*byte)(old), oldSize))
	}
	return taken
}

var nothing uint64

func room(size, align uint32) unsafe.Pointer {
	if size == 0 {
		return unsafe.Pointer(&nothing)
	}
	if align == 1 {
		bytes := make([]byte, size)
		held = append(held, bytes)
		return unsafe.Pointer(unsafe.SliceData(bytes))
	}
	words := make([]uint64, (size+7)/8)
	held = append(held, words)
	return unsafe.Pointer(unsafe.SliceData(words))
}

// letGo ends a call.
func letGo() {
	clear(held)
	held = held[:0]
}

// ---- Lifting. A text is not copied: it keeps the memory alive that the host wrote it to. ----

func liftBytes(text abiText) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(uintptr(text.at))), text.len)
}

func (text abiText) lift() string {
	if text.len == 0 {
		return ""
	}
	return unsafe.String((*byte)(unsafe.Pointer(uintptr(text.at))), text.len)
}

func (maybe abiMaybeText) lift() *string {
	if maybe.isSome == 0 {
		return nil
	}
	text := maybe.text.lift()
	return &text
}

func liftList[Item any](list abiList) []Item {
	if list.len == 0 {
		return nil
	}
	return unsafe.Slice((*Item)(unsafe.Pointer(uintptr(list.at))), list.len)
}

func (list abiList) liftTexts() []string {
	texts := make([]string, 0, list.len)
	for _, text := range liftList[abiText](list) {
		texts = append(texts, text.lift())
	}
	return texts
}

func (list abiList) liftPairs() []Pair {
	pairs := make([]Pair, 0, list.len)
	for _, pair := range liftList[abiPair](list) {
		pairs = append(pairs, Pair{pair.name.lift(), pair.value.lift()})
	}
	return pairs
}

func (maybe abiMaybeUser) lift() *User {
	if maybe.isSome == 0 {
		return nil
	}
	return &User{ID: maybe.user.id.lift(), Roles: maybe.user.roles.liftTexts(), Tenant: maybe.user.tenant.lift()}
}

// ---- Lowering. ----

func number(pointer unsafe.Pointer) uint32 { return uint32(uintptr(pointer)) }

func lowerBytes[Text string | []byte](text Text) abiText {
	if len(text) == 0 {
		return abiText{}
	}
	held = append(held, text)
	// A string and a slice both begin with where their bytes are.
	return abiText{number(*(*unsafe.Pointer)(unsafe.Pointer(&text))), uint32(len(text))}
}

func lowerMaybe(text *string) abiMaybeText {
	if text == nil {
		return abiMaybeText{}
	}
	return abiMaybeText{1, lowerBytes(*text)}
}

func lowerList[Item any](items []Item) abiList {
	if len(items) == 0 {
		return abiList{}
	}
	held = append(held, items)
	return abiList{number(unsafe.Pointer(unsafe.SliceData(items))), uint32(len(items))}
}

func lowerTexts(texts []string) abiList {
	lowered := make([]abiText, 0, len(texts))
	for _, text := range texts {
		lowered = append(lowered, lowerBytes(text))
	}
	return lowerList(lowered)
}

func lowerPairs(pairs []Pair) abiList {
	lowered := make([]abiPair, 0, len(pairs))
	for _, pair := range pairs {
		lowered = append(lowered, abiPair{lowerBytes(pair.Name), lowerBytes(pair.Value)})
	}
	return lowerList(lowered)
}

func lowerUser(user *User) abiMaybeUser {
	if user == nil {
		return abiMaybeUser{}
	}
	return abiMaybeUser{1, abiUser{lowerBytes(user.ID), lowerTexts(user.Roles), lowerMaybe(user.Tenant)}}
}

// answer is where the host reads what a function answers.
func answer[Answer any](lowered Answer) unsafe.Pointer {
	kept := &lowered
	held = append(held, kept)
	return unsafe.Pointer(kept)
}
