package tidegate

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	authorizer "tidegate/internal/gen/export_tidegate_plugin_authorizer"
	handler "tidegate/internal/gen/export_tidegate_plugin_handler"
	// The functions the host calls.
	_ "tidegate/internal/gen/exports"
	decisions "tidegate/internal/gen/tidegate_plugin_authorizer"
	types "tidegate/internal/gen/tidegate_plugin_types"
	wit "tidegate/internal/wit/types"
)

func init() {
	handler.Answer = func(given types.Context, payload string) wit.Result[types.Outcome, types.Refusal] {
		outcome, err := answered(given, payload)
		if err != nil {
			return wit.Err[types.Outcome, types.Refusal](loweredRefusal(err))
		}
		return wit.Ok[types.Outcome, types.Refusal](outcome)
	}
	authorizer.Decide = func(given types.Context, action uint8, payload wit.Option[string]) wit.Result[decisions.Decision, string] {
		decision, err := decided(given, action, payload)
		if err != nil {
			return wit.Err[decisions.Decision, string](err.Error())
		}
		return wit.Ok[decisions.Decision, string](loweredDecision(decision))
	}
}

func answered(given types.Context, payload string) (lowered types.Outcome, err error) {
	defer recovered(&err)
	if handle == nil {
		return lowered, errors.New("the plugin registered no handler")
	}
	outcome, err := handle(lifted(given), []byte(payload))
	if err != nil {
		return lowered, err
	}
	return loweredOutcome(outcome)
}

func decided(given types.Context, action uint8, payload wit.Option[string]) (decision Decision, err error) {
	defer recovered(&err)
	if authorize == nil {
		return decision, errors.New("the plugin registered no authorizer")
	}
	var text json.RawMessage
	if payload.Tag() == wit.OptionSome {
		text = json.RawMessage(payload.Some())
	}
	return authorize(lifted(given), Action(action), text)
}

// recovered makes an error of a panic, so that it costs no instance.
func recovered(err *error) {
	if cause := recover(); cause != nil {
		*err = fmt.Errorf("panic: %v", cause)
	}
}

func lifted(given types.Context) *Context {
	context := &Context{
		Topic:        given.Topic,
		Channel:      given.Channel,
		Params:       liftedPairs(given.Params),
		ConnectionID: given.ConnectionId,
		ReceivedAt:   time.UnixMilli(int64(given.ReceivedAtMs)),
		Deadline:     time.Duration(given.DeadlineMs) * time.Millisecond,
		Attributes:   liftedPairs(given.Attributes),
	}
	if given.User.Tag() == wit.OptionSome {
		user := given.User.Some()
		context.User = &User{ID: user.Id, Roles: user.Roles}
		if user.Tenant.Tag() == wit.OptionSome {
			tenant := user.Tenant.Some()
			context.User.Tenant = &tenant
		}
	}
	return context
}

func liftedPairs(list []wit.Tuple2[string, string]) []Pair {
	pairs := make([]Pair, 0, len(list))
	for _, pair := range list {
		pairs = append(pairs, Pair{pair.F0, pair.F1})
	}
	return pairs
}

func loweredOutcome(outcome Outcome) (types.Outcome, error) {
	lowered := types.Outcome{Reply: wit.None[string](), Effects: make([]types.Effect, 0, len(outcome.effects))}
	if outcome.replies {
		text, err := json.Marshal(outcome.reply)
		if err != nil {
			return lowered, fmt.Errorf("the reply has no JSON: %w", err)
		}
		lowered.Reply = wit.Some(string(text))
	}
	for _, wanted := range outcome.effects {
		text, err := json.Marshal(wanted.payload)
		if err != nil {
			return lowered, fmt.Errorf("the payload for `%s` has no JSON: %w", wanted.name, err)
		}
		lowered.Effects = append(lowered.Effects, loweredEffect(wanted, string(text)))
	}
	return lowered, nil
}

func loweredEffect(wanted effect, payload string) types.Effect {
	if !wanted.publishes {
		return types.MakeEffectEmit(types.Emit{Topic: wanted.name, Payload: payload, To: uint8(wanted.to)})
	}
	subject := wit.None[string]()
	if wanted.subject != "" {
		subject = wit.Some(wanted.subject)
	}
	return types.MakeEffectPublish(types.Publish{Kind: wanted.name, Subject: subject, Data: payload})
}

func loweredRefusal(err error) types.Refusal {
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		return types.MakeRefusalFailed(err.Error())
	}
	switch refusal.reason {
	case invalidPayload:
		return types.MakeRefusalInvalidPayload(refusal.sentence)
	case forbidden:
		return types.MakeRefusalForbidden(refusal.sentence)
	case unavailable:
		return types.MakeRefusalUnavailable(refusal.sentence)
	default:
		return types.MakeRefusalFailed(refusal.sentence)
	}
}

func loweredDecision(decision Decision) decisions.Decision {
	if !decision.allowed {
		return decisions.MakeDecisionDeny(decision.sentence)
	}
	user := wit.None[types.User]()
	if decision.user != nil {
		tenant := wit.None[string]()
		if decision.user.Tenant != nil {
			tenant = wit.Some(*decision.user.Tenant)
		}
		user = wit.Some(types.User{Id: decision.user.ID, Roles: decision.user.Roles, Tenant: tenant})
	}
	ttl := min(max(decision.ttl.Milliseconds(), 0), math.MaxUint32)
	return decisions.MakeDecisionAllow(decisions.Grant{TtlMs: uint32(ttl), User: user})
}
