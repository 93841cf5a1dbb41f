"""Unit tests, under plain Python."""

from unittest import TestCase

from tidegate_plugin import Context, testing

from plugin import provide


class State(TestCase):
    def test_the_state_is_the_greeting(self) -> None:
        with testing.host(config={"greeting": "ahoy"}):
            self.assertEqual(provide(Context(topic="greetings")), [{"text": "ahoy"}])
