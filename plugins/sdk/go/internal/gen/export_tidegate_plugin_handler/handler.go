// Package export_tidegate_plugin_handler is what the generated export calls. Written by hand.
package export_tidegate_plugin_handler

import (
	"tidegate/internal/gen/tidegate_plugin_types"
	witTypes "tidegate/internal/wit/types"
)

// Answer is set by the package tidegate, which this one cannot import: it would be a cycle.
var Answer func(tidegate_plugin_types.Context, string) witTypes.Result[tidegate_plugin_types.Outcome, tidegate_plugin_types.Refusal]

// Handle answers one message.
func Handle(context tidegate_plugin_types.Context, payload string) witTypes.Result[tidegate_plugin_types.Outcome, tidegate_plugin_types.Refusal] {
	return Answer(context, payload)
}
