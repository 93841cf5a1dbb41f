package tidegate

// Audience is who receives an emit.
type Audience uint8

const (
	// Everyone is every subscriber of the topic.
	Everyone Audience = iota
	// Others is every subscriber but the connection that sent the message, or that came or went.
	Others
)

type effect struct {
	is uint8
	// The topic of an emit and of a removal, the type of a publish.
	name    string
	subject string
	// The payload of an emit, the data of a publish, the key of a removal.
	payload any
	to      Audience
	// Whether a removal is of every value.
	all bool
}

// Effects are what should happen once the call succeeded, in this order. The zero value is nothing.
type Effects struct{ list []effect }

// Emit publishes on a topic. Needs the topic's channel in `grants.emit`.
func (effects Effects) Emit(topic string, payload any, to Audience) Effects {
	return Effects{append(effects.list, effect{is: abiEmit, name: topic, payload: payload, to: to})}
}

// Publish puts an event on the bus. Needs the type in `grants.publish`. An empty subject is none.
func (effects Effects) Publish(kind, subject string, data any) Effects {
	return Effects{append(effects.list, effect{is: abiPublish, name: kind, subject: subject, payload: data})}
}

// Remove takes the retained value of a key away. Needs the topic's channel in `grants.emit`.
func (effects Effects) Remove(topic string, key any) Effects {
	return Effects{append(effects.list, effect{is: abiRemove, name: topic, payload: key})}
}

// RemoveAll takes every retained value of a topic away. Needs the topic's channel in `grants.emit`.
func (effects Effects) RemoveAll(topic string) Effects {
	return Effects{append(effects.list, effect{is: abiRemove, name: topic, all: true})}
}

func (effects Effects) lower() (abiList, error) {
	lowered := make([]abiEffect, 0, len(effects.list))
	for _, wanted := range effects.list {
		one, err := wanted.lower()
		if err != nil {
			return abiList{}, err
		}
		lowered = append(lowered, one)
	}
	return lowerList(lowered), nil
}

func (wanted effect) lower() (abiEffect, error) {
	lowered := abiEffect{is: wanted.is, name: lowerBytes(wanted.name)}
	if wanted.all {
		return lowered, nil
	}
	payload, err := lowerJSON("the value for `"+wanted.name+"`", wanted.payload)
	if err != nil {
		return abiEffect{}, err
	}
	switch wanted.is {
	case abiEmit:
		lowered.rest = [5]uint32{payload.at, payload.len, uint32(wanted.to)}
	case abiRemove:
		lowered.rest = [5]uint32{1, payload.at, payload.len}
	case abiPublish:
		lowered.rest = [5]uint32{3: payload.at, 4: payload.len}
		if wanted.subject != "" {
			subject := lowerBytes(wanted.subject)
			lowered.rest[0], lowered.rest[1], lowered.rest[2] = 1, subject.at, subject.len
		}
	}
	return lowered, nil
}
