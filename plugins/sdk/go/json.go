package tidegate

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Read reads JSON text: names match exactly, and none may stand twice in an object. The error says where it is not what
// Value says. Use it for what arrives as text (an authorizer's payload, the body of a response): encoding/json takes
// `NAME` for `name`, and the last of two.
func Read[Value any](text []byte) (value Value, err error) {
	options := []json.Options{}
	if hasManyDigits(text) {
		options = append(options, json.WithUnmarshalers(json.UnmarshalFromFunc(readAny)))
	}
	return value, inOurWords(json.Unmarshal(text, &value, options...))
}

// The digits of a number that float64, which `any` makes of it, may not have.
const manyDigits = 16

func hasManyDigits(text []byte) bool {
	digits := 0
	for _, char := range text {
		if digits++; char < '0' || char > '9' {
			digits = 0
		}
		if digits == manyDigits {
			return true
		}
	}
	return false
}

// readAny refuses a whole number that would be another one as float64. Typed fields hold what they say.
func readAny(decoder *jsontext.Decoder, value *any) error {
	if decoder.PeekKind() != '0' {
		return errors.ErrUnsupported
	}
	text, err := decoder.ReadValue()
	if err != nil {
		return err
	}
	number, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return err
	}
	isWhole := !strings.ContainsAny(string(text), ".eE")
	if isWhole && strconv.FormatFloat(number, 'f', -1, 64) != string(text) {
		return fmt.Errorf("%s is larger than `any` holds exactly: read it as int64, or have it sent as a text", text)
	}
	*value = number
	return nil
}

// The error of an unmarshal as every SDK says it: "`a.b[0]`: expected a text, found a number".
func inOurWords(err error) error {
	var wrong *json.SemanticError
	if !errors.As(err, &wrong) || wrong.GoType == nil {
		return err
	}
	expected, found := typeName(wrong.GoType), kindName(wrong.JSONKind)
	switch {
	case wrong.Err != nil && wrong.JSONKind != '0':
		return fmt.Errorf("%s%w", place(wrong.JSONPointer), wrong.Err)
	case wrong.Err != nil && wrong.GoType.Kind() == reflect.Interface:
		return fmt.Errorf("%s%w", place(wrong.JSONPointer), wrong.Err)
	case wrong.JSONKind == '0' && wrong.JSONValue != nil && strings.Contains(expected, "number"):
		found = string(wrong.JSONValue)
	}
	return fmt.Errorf("%sexpected %s, found %s", place(wrong.JSONPointer), expected, found)
}

func place(pointer jsontext.Pointer) string {
	path := ""
	for token := range pointer.Tokens() {
		if _, err := strconv.Atoi(token); err == nil {
			path += "[" + token + "]"
		} else {
			path += "." + token
		}
	}
	if path == "" {
		return ""
	}
	return "`" + strings.TrimPrefix(path, ".") + "`: "
}

func typeName(of reflect.Type) string {
	switch of.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Pointer:
		return typeName(of.Elem())
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64:
		return "a whole number"
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return "a whole number of type " + of.Kind().String()
	default:
		return of.String()
	}
}

func kindName(kind jsontext.Kind) string {
	switch kind {
	case '"':
		return "a text"
	case '0':
		return "a number"
	case 't', 'f':
		return "true or false"
	case '[':
		return "a list"
	case '{':
		return "an object"
	default:
		return "null"
	}
}

// lowerJSON is a value as encoding/json/v2 writes it, the keys of maps in order.
func lowerJSON(what string, value any) (abiText, error) {
	text, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		return abiText{}, fmt.Errorf("%s has no JSON: %w", what, err)
	}
	return lowerBytes(text), nil
}
