"""Payloads become what the annotation says, or are refused with the place of the mistake."""

import unittest
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, NotRequired, TypedDict

from tidegate_plugin.typed import Mismatch, decode


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: float = 0.5


@dataclass
class Line:
    points: list[Point]
    color: Color | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.points) < 2:
            raise ValueError("a line has two points")


class Message(TypedDict):
    text: str
    priority: NotRequired[int]


class Typed(unittest.TestCase):
    def test_a_dataclass_is_made_with_all_that_is_in_it(self) -> None:
        value = {"points": [{"x": 1, "y": 2}, {"x": 3}], "color": "red", "tags": {"a": "b"}, "unknown": 1}
        self.assertEqual(decode(value, Line), Line([Point(1, 2.0), Point(3)], Color.RED, {"a": "b"}))

    def test_a_typed_dict_is_checked_and_keeps_what_it_does_not_know(self) -> None:
        self.assertEqual(decode({"text": "a", "more": 1}, Message), {"text": "a", "more": 1})
        self.refused({"priority": 1}, Message, "`text` is missing")
        self.refused({"text": "a", "priority": "high"}, Message, "`priority`: expected a whole number, found a text")

    def test_a_mistake_is_told_with_its_place(self) -> None:
        self.refused({"points": [{"x": 1}, {"x": "2"}]}, Line, "`points[1].x`: expected a whole number, found a text")
        self.refused({"points": [{"x": 1}, {}]}, Line, "`points[1]`: `x` is missing")
        self.refused({"points": [{"x": 1}, {"x": 2}], "color": "green"}, Line, "`color`: expected 'red' or 'blue', found a text")
        self.refused({"points": [{"x": 1}, {"x": 2}], "tags": {"a": None}}, Line, "`tags.a`: expected a text, found null")
        self.refused([], Line, "expected an object, found a list")

    def test_what_post_init_refuses_is_refused(self) -> None:
        self.refused({"points": []}, Line, "a line has two points")

    def test_true_is_no_number_and_one_is_not_true(self) -> None:
        self.refused(True, int, "expected a whole number, found true or false")
        self.refused(True, float, "expected a number, found true or false")
        self.refused(1, bool, "expected true or false, found a number")
        self.refused(True, Literal[1], "expected 1, found true or false")
        self.refused(1.5, int, "expected a whole number, found 1.5")
        self.assertIsInstance(decode(1, float), float)

    def test_unions_literals_and_tuples(self) -> None:
        self.assertEqual(decode([1, "a"], tuple[int, str]), (1, "a"))
        self.assertEqual(decode([1, 2, 3], tuple[int, ...]), (1, 2, 3))
        self.refused([1], tuple[int, str], "expected a list of 2, found 1")
        self.assertEqual([decode(value, int | str | None) for value in (1, "a", None)], [1, "a", None])
        self.refused([], int | str, "expected a whole number, found a list")
        self.assertEqual(decode("a", Literal["a", "b"]), "a")

    def test_any_takes_all_and_an_annotation_without_json_is_a_bug_of_the_plugin(self) -> None:
        self.assertEqual(decode({"a": [1]}, Any), {"a": [1]})
        self.assertEqual(decode({"a": [1]}, dict), {"a": [1]})
        with self.assertRaisesRegex(TypeError, "is not an annotation for JSON"):
            decode("a", bytes)

    def refused(self, value: Any, kind: Any, message: str) -> None:
        with self.assertRaises(Mismatch) as raised:
            decode(value, kind)
        self.assertEqual(str(raised.exception), message)
