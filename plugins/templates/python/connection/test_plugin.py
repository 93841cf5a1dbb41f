"""Unit tests, under plain Python."""

from unittest import TestCase

from tidegate_plugin import Peer, Phase, publish

from plugin import changed


class Visitors(TestCase):
    def test_coming_and_going_are_two_events(self) -> None:
        self.assertEqual(changed(Peer(), Phase.CONNECTED), [publish("visitor.came", {"user": None})])
        self.assertEqual(changed(Peer(), Phase.DISCONNECTED), [publish("visitor.went", {"user": None})])
