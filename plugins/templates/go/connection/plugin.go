// Tells the bus who came and who went.
package main

import "tidegate"

type visitor struct {
	User *string `json:"user"`
}

func changed(peer *tidegate.Peer, phase tidegate.Phase) (tidegate.Effects, error) {
	var who visitor
	if peer.User != nil {
		who.User = &peer.User.ID
	}
	event := "visitor.came"
	if phase == tidegate.Disconnected {
		event = "visitor.went"
	}
	return tidegate.Effects{}.Publish(event, "", who), nil
}

func init() { tidegate.Listen(changed) }

func main() {}
