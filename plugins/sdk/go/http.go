package tidegate

import "unsafe"

//go:wasmimport tidegate:http/client@0.1.0 send
func importHTTPSend(method, url string, headers, headersLen, hasBody uint32, body string, answer unsafe.Pointer)

// Request is an HTTP request.
type Request struct {
	// Method is `GET` where it is empty.
	Method string
	// URL is the whole of it: `https://api.example.com/users?page=2`.
	URL     string
	Headers []Pair
	// Body is none where it is nil.
	Body []byte
}

// Response is what came back, whatever its status.
type Response struct {
	Status int
	// Headers have names in lower case.
	Headers []Pair
	Body    []byte
}

// Header is the first value of a header field, the name in lower case.
func (response *Response) Header(name string) (string, bool) {
	for _, pair := range response.Headers {
		if pair.Name == name {
			return pair.Value, true
		}
	}
	return "", false
}

// The errors as the contract counts.
var httpErrors = [...]error{ErrInvalid, ErrDenied, ErrTooLarge, ErrRateLimited, ErrTimeout, ErrUnavailable}

// Fetch sends a request and reads the whole response. Needs the origin in `grants.http`. `net/http` has no network here.
func Fetch(request Request) (*Response, error) {
	method := request.Method
	if method == "" {
		method = "GET"
	}
	answer, headers := asked[wordedAnswer](), lowerPairs(request.Headers)
	body := unsafe.String(unsafe.SliceData(request.Body), len(request.Body))
	importHTTPSend(method, request.URL, headers.at, headers.len, flag(request.Body != nil), body, unsafe.Pointer(answer))
	rest := answer.rest
	if answer.is == abiOk {
		return &Response{
			Status:  int(uint16(answer.first)),
			Headers: abiList{rest[0], rest[1]}.liftPairs(),
			Body:    liftBytes(abiText{rest[2], rest[3]}),
		}, nil
	}
	return nil, told(method+" "+request.URL, httpErrors[uint8(answer.first)], abiText{rest[0], rest[1]})
}
