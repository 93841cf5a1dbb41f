"""Snapshots, transforms and connection listeners answer, or fail with a sentence; what is granted answers or raises."""

import unittest
from dataclasses import dataclass
from typing import Any

import tidegate_plugin
from tidegate_plugin import DROP, Context, Crossing, Event, Failed, Peer, Phase, User, emit, http, kv, queries, secrets, testing
from tidegate_plugin.calls import Unread, changed, provide, transform
from tidegate_plugin.errors import Conflict, Denied, NotAnInteger


@dataclass
class Order:
    cents: int


class Kinds(unittest.TestCase):
    def test_a_snapshot_is_a_list_of_payloads(self) -> None:
        self.assertEqual(provide(lambda context: [{"n": 1}, context.topic], Context(topic="a")), ['{"n":1}', '"a"'])
        with self.assertRaisesRegex(TypeError, "must return a list of payloads, not str"):
            provide(lambda _: "text", Context())
        with self.assertRaises(ZeroDivisionError):
            provide(lambda _: [1 // 0], Context())

    def test_a_transform_publishes_drops_or_fails(self) -> None:
        def apply(crossing: Crossing, payload: Order) -> Any:
            return DROP if payload.cents == 0 else [crossing.topic, crossing.event.data, payload.cents]

        crossing = Crossing(Event(data=Unread('{"a":1}')), "orders")
        self.assertEqual(transform(apply, Order, crossing, '{"cents":7}'), '["orders",{"a":1},7]')
        self.assertIsNone(transform(apply, Order, crossing, '{"cents":0}'))
        self.assertEqual(transform(lambda *_: None, Any, crossing, "1"), "null")
        with self.assertRaisesRegex(Failed, "`cents`: expected a whole number, found a text"):
            transform(apply, Order, crossing, '{"cents":"7"}')

    def test_a_listener_answers_effects_or_nothing(self) -> None:
        peer = Peer("c1", User("u1"))
        [effect] = changed(lambda peer, phase: [emit("lobby", [peer.user.id, phase])], peer, Phase.CONNECTED)
        self.assertEqual(effect.payload, '["u1","connected"]')
        self.assertEqual(changed(lambda *_: None, peer, Phase.DISCONNECTED), [])
        with self.assertRaisesRegex(TypeError, r"what emit\(\), publish\(\), remove\(\) and remove_all\(\) make, found str"):
            changed(lambda *_: ["emit"], peer, Phase.CONNECTED)


class Granted(unittest.TestCase):
    def test_a_secret_is_what_the_test_says_and_no_other(self) -> None:
        with testing.host(secrets={"API_TOKEN": "s3cret"}):
            self.assertEqual(secrets.get("API_TOKEN"), "s3cret")
            self.assertRaises(Denied, secrets.get, "OTHER")

    def test_a_bucket_keeps_text_and_bytes_with_revisions(self) -> None:
        with testing.host():
            seen = kv.Bucket("seen")
            self.assertIsNone(seen.get("a"))
            first = seen.put("a", "grüß dich 🦊")
            self.assertEqual((seen.get("a").text, seen.get("a").revision), ("grüß dich 🦊", first))
            second = seen.put("a", b"[1]", if_revision=first)
            self.assertEqual(seen.get("a").json(), [1])
            with self.assertRaises(Conflict) as caught:
                seen.put("a", "x", if_revision=0)
            self.assertEqual(caught.exception.revision, second)
            self.assertEqual((seen.increment("n"), seen.increment("n", -5)), (1, -4))
            self.assertRaises(NotAnInteger, seen.increment, "a")
            self.assertEqual((seen.keys(), seen.keys(after="a"), seen.keys("a")), (["a", "n"], ["n"], ["a"]))
            self.assertEqual((seen.delete("a"), seen.delete("a")), (True, False))

    def test_a_query_answers_rows(self) -> None:
        with testing.host(queries={"member": lambda vault, user: [{"vault": vault, "user": user}]}):
            self.assertEqual(queries.run("member", "v1", 7), [{"vault": "v1", "user": 7}])
            self.assertRaises(Denied, queries.run, "other")

    def test_a_request_reads_its_response(self) -> None:
        def answer(method: str, url: str, headers: Any, body: bytes | None) -> http.Response:
            return http.Response(201, [("x-seen", "yes")], f"{method} {url} {headers}".encode() + (body or b""))

        with testing.host(http=answer):
            response = http.send("https://a.example", method="POST", headers={"accept": "*/*"}, body="é")
            self.assertEqual((response.status, response.header("X-Seen")), (201, "yes"))
            self.assertEqual(response.text, "POST https://a.example [('accept', '*/*')]é")

    def test_what_was_not_imported_at_the_top_says_so(self) -> None:
        with self.assertRaisesRegex(AttributeError, "no attribute `other`"):
            tidegate_plugin.other
        with self.assertRaisesRegex(AttributeError, "from tidegate_plugin import kv"):
            tidegate_plugin.__getattr__("kv")
