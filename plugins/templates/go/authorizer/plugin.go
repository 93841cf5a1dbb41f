// Lets the users listed in the config in, and nobody else.
package main

import (
	"encoding/json/jsontext"
	"slices"

	"tidegate"
)

func authorize(context *tidegate.Context, action tidegate.Action, payload jsontext.Value) (tidegate.Decision, error) {
	if context.User == nil {
		return tidegate.Deny("anonymous"), nil
	}
	members, err := tidegate.Config[[]string]("members")
	if err != nil || !slices.Contains(members, context.User.ID) {
		return tidegate.Deny("`%s` is no member", context.User.ID), err
	}
	return tidegate.Allow(0), nil
}

func init() { tidegate.Authorize(authorize) }

func main() {}
