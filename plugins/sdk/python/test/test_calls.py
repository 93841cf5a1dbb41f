"""A call answers, or refuses in the plugin's own words; any other exception goes through, and is told with its place."""

import unittest
from dataclasses import dataclass
from typing import Any

from tidegate_plugin import Context, Failed, Forbidden, InvalidPayload, Outcome, Unavailable, User, allow, deny, emit, errors, log, publish, testing
from tidegate_plugin import clock, config, handler, random
from tidegate_plugin.answers import Emit, Publish
from tidegate_plugin.calls import authorize, handle, payload_kind, told


@dataclass
class Ping:
    n: int


def answer(outcome: Any) -> Any:
    return handle(lambda context, payload: outcome, Any, Context(), "{}")


class Handle(unittest.TestCase):
    def test_the_payload_is_what_the_annotation_says(self) -> None:
        def function(context: Context, payload: Ping) -> Outcome:
            return Outcome({"pong": payload.n, "by": context.user.id})

        self.assertIs(payload_kind(function, 1), Ping)
        context = Context(user=User("u1"))
        self.assertEqual(handle(function, Ping, context, '{"n":7}'), ('{"pong":7,"by":"u1"}', []))
        with self.assertRaisesRegex(InvalidPayload, "`n` is missing"):
            handle(function, Ping, context, "{}")

    def test_a_reply_of_null_is_not_the_lack_of_one(self) -> None:
        self.assertEqual(answer(Outcome(None)), ("null", []))
        self.assertEqual(answer(Outcome()), (None, []))
        self.assertEqual(answer(None), (None, []))

    def test_effects_keep_their_order_and_are_json(self) -> None:
        effects = [publish("ping.seen", {"n": 1}, "s"), emit("t", "🦊", to="others")]
        wanted = [Publish("ping.seen", '{"n":1}', "s"), Emit("t", '"🦊"', "others")]
        self.assertEqual(answer(Outcome(effects=effects)), (None, wanted))

    def test_a_refusal_stays_what_it_is(self) -> None:
        def function(context: Context, payload: Any) -> None:
            raise Forbidden("not you")

        with self.assertRaisesRegex(Forbidden, "not you"):
            handle(function, Any, Context(), "{}")

    def test_a_mistake_goes_through_and_is_told_with_its_places(self) -> None:
        for error in (ZeroDivisionError("x"), SystemExit(3), KeyboardInterrupt(), RecursionError("deep")):
            def function(context: Context, payload: Any) -> None:
                raise error

            line = function.__code__.co_firstlineno + 1
            try:
                self.fail(handle(function, Any, Context(), "{}"))
            except type(error) as mistake:
                self.assertRegex(told(mistake), rf"^{type(error).__name__}: .*, at test_calls.py:{line} in function, test_calls.py:")

    def test_that_the_host_is_away_is_no_mistake(self) -> None:
        for error in (errors.RateLimited("often"), errors.Timeout("late"), errors.Unavailable("away")):
            def function(context: Context, payload: Any) -> None:
                raise error

            with self.assertRaisesRegex(Unavailable, str(error)):
                handle(function, Any, Context(), "{}")

    def test_an_answer_that_the_host_could_not_read_is_a_mistake(self) -> None:
        for outcome, message in (
            ({"n": 1}, "must return an Outcome or None, not dict"),
            (Outcome(object()), "not JSON serializable"),
            (Outcome(float("nan")), "Out of range float"),
            (Outcome("\ud83e"), "surrogates not allowed"),
            (Outcome(effects=["x"]), "what emit"),
        ):
            with self.assertRaisesRegex((TypeError, ValueError), message):
                answer(outcome)

    def test_effects_with_mistakes_are_told_where_they_are_made(self) -> None:
        with self.assertRaisesRegex(ValueError, "`everyone` or `others`"):
            emit("t", 1, to="nobody")
        with self.assertRaisesRegex(TypeError, "`topic`: expected a text"):
            emit(None, 1)


class Authorize(unittest.TestCase):
    def test_the_action_and_the_payload_arrive(self) -> None:
        def function(context: Context, action: str, payload: Any) -> Any:
            return deny(f"{action} {payload}")

        self.assertEqual(authorize(function, Any, Context(), "send", '{"n":1}').denied, "send {'n': 1}")
        self.assertEqual(authorize(function, Any, Context(), "subscribe", None).denied, "subscribe None")

    def test_what_is_no_decision_is_an_error(self) -> None:
        with self.assertRaisesRegex(TypeError, r"must return allow\(\), deny\(\) or cannot_tell\(\), not bool"):
            authorize(lambda *_: True, Any, Context(), "send", None)

        def function(context: Context, action: str, payload: Any) -> Any:
            raise LookupError("no list")

        with self.assertRaisesRegex(LookupError, "no list"):
            authorize(function, Any, Context(), "send", None)

    def test_what_depends_on_a_host_that_is_away_cannot_be_told(self) -> None:
        def of(error: BaseException) -> Any:
            def function(context: Context, action: str, payload: Any) -> Any:
                raise error

            return authorize(function, Any, Context(), "subscribe", None)

        for error in (errors.Timeout("late"), errors.RateLimited("often"), errors.Unavailable("away")):
            self.assertIn(str(error), of(error).unknown)
        with self.assertRaisesRegex(Failed, "not granted"):
            of(errors.Denied("not granted"))

    def test_a_ttl_is_whole_milliseconds(self) -> None:
        for ttl_ms in (-1, 2**32, 1.5):
            with self.assertRaisesRegex(ValueError, "whole milliseconds"):
                allow(ttl_ms)


class Host(unittest.TestCase):
    def test_a_unit_test_has_a_host_of_its_own(self) -> None:
        with testing.host(config={"greeting": "hé"}, now_ms=5) as host:
            log.info("seen", n=1)
            self.assertEqual((config("greeting"), config("other", 3), clock.now_ms()), ("hé", 3, 5))
            self.assertEqual((len(random.bytes(13)), random.next_u64()), (13, 3))
        self.assertEqual(host.lines, [("info", "seen", {"n": "1"})])
        with self.assertRaisesRegex(RuntimeError, "tidegate_plugin.testing"):
            config("greeting")

    def test_a_function_that_cannot_be_called_fails_the_build(self) -> None:
        with self.assertRaisesRegex(TypeError, r"`one\(context\)`: expected \(context, payload\)"):
            @handler
            def one(context): ...
        with self.assertRaisesRegex(TypeError, "must not be async"):
            @handler
            async def two(context, payload): ...
