// Answers what clients send on `{{channel}}`.
package main

import "tidegate"

// To publish to the subscribers: tidegate.Reply(…).Emit(context.Topic, payload, tidegate.Everyone), and the grant in
// plugin.yaml.
func handle(context *tidegate.Context, message any) (tidegate.Outcome, error) {
	return tidegate.Reply(message), nil
}

func init() { tidegate.Handle(handle) }

func main() {}
