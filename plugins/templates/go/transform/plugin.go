// Makes a greeting of every event that has a name, and keeps the others from crossing.
package main

import "tidegate"

type visitor struct {
	Name *string `json:"name"`
}

type greeting struct {
	Text string `json:"text"`
}

func transform(crossing *tidegate.Crossing, payload visitor) (greeting, error) {
	if payload.Name == nil {
		return greeting{}, tidegate.ErrDrop
	}
	word, err := tidegate.Config[string]("greeting")
	return greeting{Text: word + ", " + *payload.Name}, err
}

func init() { tidegate.Transform(transform) }

func main() {}
