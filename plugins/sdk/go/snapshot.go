package tidegate

import "unsafe"

var provide func(*Context) ([]any, error)

// Provide registers the function that gives the state of a topic to who subscribes: payloads that each must meet the
// channel's schema. An error refuses the subscription.
func Provide[Payload any](function func(*Context) ([]Payload, error)) {
	provide = func(context *Context) ([]any, error) {
		payloads, err := function(context)
		list := make([]any, 0, len(payloads))
		for _, payload := range payloads {
			list = append(list, payload)
		}
		return list, err
	}
}

type provided struct {
	is       uint8
	payloads abiList
}

//go:wasmexport tidegate:plugin/snapshot@0.3.0#provide
func exportProvide(at unsafe.Pointer) unsafe.Pointer {
	texts, err := called("snapshot provider", provide != nil, func() ([]abiText, error) {
		payloads, err := provide((*abiContext)(at).lift())
		if err != nil {
			return nil, err
		}
		texts := make([]abiText, 0, len(payloads))
		for _, payload := range payloads {
			text, err := lowerJSON("a payload", payload)
			if err != nil {
				return nil, err
			}
			texts = append(texts, text)
		}
		return texts, nil
	})
	if err != nil {
		return failedWith(err)
	}
	return answer(provided{payloads: lowerList(texts)})
}

//go:wasmexport cabi_post_tidegate:plugin/snapshot@0.3.0#provide
func afterProvide(unsafe.Pointer) { letGo() }
