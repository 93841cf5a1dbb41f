"""Unit tests, under plain Python."""

from unittest import TestCase

from tidegate_plugin import Context

from plugin import handle


class Answer(TestCase):
    def test_a_message_is_answered(self) -> None:
        self.assertEqual(handle(Context(topic="{{channel}}"), {}).reply, {})
