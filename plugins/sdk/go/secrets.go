package tidegate

import "unsafe"

//go:wasmimport tidegate:host/secrets@0.1.0 get
func importSecretsGet(name string, answer unsafe.Pointer)

// Secret is a variable of the server's environment. Needs the name in `grants.secrets`.
func Secret(name string) (string, error) {
	answer := asked[struct {
		is     uint8
		secret abiText
	}]()
	importSecretsGet(name, unsafe.Pointer(answer))
	if answer.is == abiOk {
		return answer.secret.lift(), nil
	}
	kinds := [...]error{ErrDenied, ErrMissing}
	// Where the text would begin is which error it is, one byte.
	return "", told("secret `"+name+"`", kinds[uint8(answer.secret.at)], abiText{})
}
