// Gives the greeting of the config to who subscribes.
package main

import "tidegate"

type greeting struct {
	Text string `json:"text"`
}

func provide(context *tidegate.Context) ([]greeting, error) {
	word, err := tidegate.Config[string]("greeting")
	state := greeting{Text: word}
	return []greeting{state}, err
}

func init() { tidegate.Provide(provide) }

func main() {}
