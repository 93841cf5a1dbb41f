"""Unit tests, under plain Python."""

from unittest import TestCase

from tidegate_plugin import Context, User, testing

from plugin import authorize


class Members(TestCase):
    def allowed(self, user: str) -> bool:
        with testing.host(config={"members": ["ada"]}):
            decision = authorize(Context(topic="greetings", user=User(id=user)), "subscribe", None)
        return decision.denied is None

    def test_members_are_let_in_and_nobody_else(self) -> None:
        self.assertTrue(self.allowed("ada"))
        self.assertFalse(self.allowed("mallory"))
