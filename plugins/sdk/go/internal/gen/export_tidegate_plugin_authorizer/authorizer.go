// Package export_tidegate_plugin_authorizer is what the generated export calls. Written by hand.
package export_tidegate_plugin_authorizer

import (
	"tidegate/internal/gen/tidegate_plugin_authorizer"
	"tidegate/internal/gen/tidegate_plugin_types"
	witTypes "tidegate/internal/wit/types"
)

// Decide is set by the package tidegate, which this one cannot import: it would be a cycle.
var Decide func(tidegate_plugin_types.Context, uint8, witTypes.Option[string]) witTypes.Result[tidegate_plugin_authorizer.Decision, string]

// Authorize decides.
func Authorize(context tidegate_plugin_types.Context, action uint8, payload witTypes.Option[string]) witTypes.Result[tidegate_plugin_authorizer.Decision, string] {
	return Decide(context, action, payload)
}
