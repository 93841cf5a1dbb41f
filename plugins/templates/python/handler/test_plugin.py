"""Unit tests, under plain Python."""

from unittest import TestCase

from tidegate_plugin import Context, testing

from plugin import Name, handle


class Greeting(TestCase):
    def test_a_name_is_greeted(self) -> None:
        with testing.host(config={"greeting": "ahoy"}):
            outcome = handle(Context(topic="greetings"), Name("Ada"))
        self.assertEqual(outcome.reply, {"text": "ahoy, Ada"})
