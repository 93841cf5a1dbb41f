"""Tells the bus who came and who went."""

from typing import Any

from tidegate_plugin import Peer, Phase, connection, publish


@connection
def changed(peer: Peer, phase: Phase) -> list[Any]:
    event = "visitor.came" if phase == Phase.CONNECTED else "visitor.went"
    return [publish(event, {"user": peer.user.id if peer.user else None})]
