"""Unit tests, under plain Python."""

from unittest import TestCase

from tidegate_plugin import DROP, Crossing, testing

from plugin import apply


class Greeting(TestCase):
    def test_a_name_is_greeted_and_none_is_dropped(self) -> None:
        with testing.host(config={"greeting": "ahoy"}):
            self.assertEqual(apply(Crossing(), {"name": "Ada"}), {"text": "ahoy, Ada"})
            self.assertIs(apply(Crossing(), {}), DROP)
