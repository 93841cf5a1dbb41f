// Gives the greeting of the config to who subscribes.
package main

import "tidegate"

type greeting struct {
	Text string `json:"text"`
}

func provide(context *tidegate.Context) ([]greeting, error) {
	word, err := tidegate.Config[string]("greeting")
	return []greeting{{Text: word}}, err
}

func init() { tidegate.Provide(provide) }

func main() {}
