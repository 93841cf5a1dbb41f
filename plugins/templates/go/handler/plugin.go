// Greets whoever is named in a message.
package main

import "tidegate"

type name struct {
	Name *string `json:"name"`
}

type greeting struct {
	Text string `json:"text"`
}

func handle(context *tidegate.Context, payload name) (tidegate.Outcome, error) {
	if payload.Name == nil {
		return tidegate.Outcome{}, tidegate.InvalidPayload("`name` is missing")
	}
	word, err := tidegate.Config[string]("greeting")
	return tidegate.Reply(greeting{Text: word + ", " + *payload.Name}), err
}

func init() { tidegate.Handle(handle) }

func main() {}
