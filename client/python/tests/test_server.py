"""The publisher against the real server, and with what goes wrong between them."""

import asyncio
import json
import threading
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import BACKEND, REVOKER, Balancer, Server, lose_answer, refuse

from tidegate_publisher import (
    AsyncPublisher,
    Channel,
    Event,
    Forbidden,
    IdempotencyConflict,
    InvalidPayload,
    PayloadTooLarge,
    Publisher,
    Receipt,
    Temporary,
    TidegateError,
    Topic,
    Unauthenticated,
    UnknownChannel,
)

FEED = Channel[Any]("feed.{section}")
_sections = count()


def feed() -> Topic[Any]:
    """A topic of its own for each test."""
    return FEED.topic(section=f"s{next(_sections)}")


def to(server: Server | Balancer, key: str = BACKEND, **options: Any) -> Publisher:
    return Publisher(server.url, key, source="/newsroom", **options)


def test_a_publish_reaches_the_topic_and_says_its_position(server: Server) -> None:
    topic = feed()
    receipt = to(server).publish(topic.of({"id": "7", "title": "Grüße"}))
    assert receipt.position is not None and receipt.position.offset == 1 and not receipt.stale
    assert server.kept(topic) == [{"id": "7", "title": "Grüße"}]


def test_a_wrong_payload_is_refused_with_every_place_and_sent_once(balancer: Balancer) -> None:
    with pytest.raises(InvalidPayload) as refused:
        to(balancer).publish(feed().of({"id": 7, "words": ["a", 1], "titel": "x"}))
    assert sorted(one.path for one in refused.value.violations) == ["", "/id", "/words/1"]
    assert (refused.value.status, refused.value.retry, refused.value.attempts) == (422, False, 1)
    assert "/words/1: " in str(refused.value)
    assert len(balancer.requests) == 1


def test_an_undeclared_topic_a_wrong_key_and_a_key_that_may_not_say_so_and_are_sent_once(balancer: Balancer) -> None:
    for key, topic, kind, status in [
        (BACKEND, "no.such", UnknownChannel, 404),
        ("wrong", "feed.a", Unauthenticated, 401),
        (REVOKER, "feed.a", Forbidden, 403),
    ]:
        with pytest.raises(kind) as refused:
            to(balancer, key).publish(topic, {})
        assert refused.value.status == status
    assert len(balancer.requests) == 3


def test_what_is_refused_for_now_is_sent_again_with_its_key_no_sooner_than_it_is_told_to(
    server: Server, balancer: Balancer
) -> None:
    balancer.plan = [refuse(503, {"retry-after": "1"})]
    topic = feed()
    to(balancer).publish(topic.of({"id": "1"}))
    assert server.kept(topic) == [{"id": "1"}]
    (first, _, at), (second, _, then) = balancer.requests
    assert first["idempotency-key"] == second["idempotency-key"]
    assert then - at >= 1


def test_what_has_no_answer_is_published_once_and_has_the_first_answer(server: Server, balancer: Balancer) -> None:
    silence = threading.Event()
    balancer.plan = [lose_answer, lambda handler: silence.wait() and None]
    topic = feed()
    receipt = to(balancer, timeout_s=2).publish(topic.of({"id": "1"}))
    silence.set()
    assert receipt.position is not None and receipt.position.offset == 1
    assert server.kept(topic) == [{"id": "1"}]
    assert len(balancer.requests) == 3


def test_a_key_is_published_once_and_refused_with_another_payload(server: Server) -> None:
    topic, key = feed(), 'article "7", v2'
    publisher = to(server)
    first = publisher.publish(topic.of({"id": "7"}, idempotency_key=key))
    assert publisher.publish(topic.of({"id": "7"}, idempotency_key=key)) == first
    with pytest.raises(IdempotencyConflict):
        publisher.publish(topic.of({"id": "8"}, idempotency_key=key))
    assert server.kept(topic) == [{"id": "7"}]


def test_it_gives_up_after_its_attempts_and_after_its_time(balancer: Balancer) -> None:
    balancer.plan = [refuse(503)] * 2
    with pytest.raises(Temporary) as refused:
        to(balancer, attempts=2).publish(feed().of({}))
    assert (refused.value.code, refused.value.attempts) == ("unexpected_answer", 2)
    balancer.plan = [refuse(503, {"retry-after": "60"})]
    with pytest.raises(Temporary) as refused:
        to(balancer).publish(feed().of({}))
    assert (refused.value.attempts, refused.value.retry_after_s) == (1, 60)


def test_a_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    away = Server(tmp_path / "away")
    front = Balancer(away)
    away.kill()
    with pytest.raises(Temporary) as refused:
        to(away, attempts=2).publish("feed.away", {"id": "0"})
    assert (refused.value.code, refused.value.attempts) == ("unreachable", 2)

    receipts: list[Receipt] = []
    waiting = threading.Thread(target=lambda: receipts.append(to(away, attempts=50).publish("feed.away", {"id": "1"})))
    waiting.start()
    away.start()
    waiting.join()
    assert [receipt.position and receipt.position.offset for receipt in receipts] == [1]
    assert away.kept("feed.away") == [{"id": "1"}]
    away.kill()
    front.shutdown()


def test_a_batch_answers_each_publication_for_itself(server: Server) -> None:
    topic = feed()
    answers = to(server).batch(
        [
            topic.of({"id": "1"}),
            topic.of({"id": 2}),
            Topic[Any]("no.such").of({}),
            topic.of({"id": "3"}),
        ]
    )
    assert [type(answer) for answer in answers] == [Receipt, InvalidPayload, UnknownChannel, Receipt]
    assert isinstance(answers[1], TidegateError) and [one.path for one in answers[1].violations] == ["/id"]
    assert server.kept(topic) == [{"id": "1"}, {"id": "3"}]


def test_a_batch_whose_answer_is_lost_is_published_once(server: Server, balancer: Balancer) -> None:
    balancer.plan = [lose_answer]
    topic = feed()
    answers = to(balancer).batch([topic.of({"id": "1"}), topic.of({"id": "2"})])
    assert all(isinstance(answer, Receipt) for answer in answers)
    assert server.kept(topic) == [{"id": "1"}, {"id": "2"}]


def test_of_a_batch_only_what_was_refused_for_now_is_sent_again(balancer: Balancer) -> None:
    busy = {"ok": False, "error": {"code": "unavailable", "message": "temporarily unavailable", "retry": True}}
    balancer.plan = [lambda handler: handler.answer(200, json.dumps([{"ok": True}, busy]).encode())]
    topic = feed()
    answers = to(balancer).batch([topic.of({"id": "1"}), topic.of({"id": "2"})])
    assert all(isinstance(answer, Receipt) for answer in answers)
    first, second = (json.loads(body) for _, body, _ in balancer.requests)
    assert second == [first[1]]


def test_a_batch_that_is_refused_as_a_whole_raises_and_an_empty_one_asks_nothing(balancer: Balancer) -> None:
    with pytest.raises(Unauthenticated):
        to(balancer, "wrong").batch([feed().of({})])
    with pytest.raises(PayloadTooLarge):
        to(balancer).batch([feed().of({})] * 1001)
    asked = len(balancer.requests)
    assert to(balancer).batch([]) == []
    assert len(balancer.requests) == asked


def test_an_event_crosses_the_bridge_once_though_its_answer_was_lost(server: Server, balancer: Balancer) -> None:
    balancer.plan = [lose_answer]
    topic = feed()
    section = topic.name.removeprefix("feed.")
    assert to(balancer).events(Event("article.published", {"section": section, "article": {"id": "7"}})) == 1
    # Behind it on the same bus.
    publisher = to(server)
    publisher.events(Event("article.published", {"section": section, "article": {"id": "8"}}, id="second"))
    while len(kept := server.kept(topic)) < 2:
        pass
    assert kept == [{"id": "7"}, {"id": "8"}]


def test_events_that_are_none_are_refused_together_with_the_place_of_each(server: Server) -> None:
    with pytest.raises(InvalidPayload) as refused:
        to(server).events(Event("article.published"), Event("tidegate.own"))
    assert refused.value.details["events"][0]["index"] == 1
    with pytest.raises(ValueError, match="no `source`"):
        Publisher(server.url, BACKEND).events(Event("article.published"))


def test_a_revocation_says_what_it_ended(server: Server) -> None:
    revoked = to(server, REVOKER).revoke(user="mallory", issued_before=1_700_000_000, reason="stolen laptop")
    assert revoked.revocation["user"] == "mallory" and revoked.revocation["issued_before"] == 1_700_000_000
    assert (revoked.sessions, revoked.subscriptions) == (0, 0)
    with pytest.raises(UnknownChannel):
        to(server, REVOKER).revoke(topic="no.such")
    with pytest.raises(Forbidden):
        to(server).revoke(user="u1")
    with pytest.raises(ValueError, match="at least one"):
        to(server, REVOKER).revoke(reason="stolen laptop")


def test_with_asyncio_calls_run_side_by_side_are_tried_again_and_can_be_cancelled(server: Server, balancer: Balancer) -> None:
    silence = threading.Event()

    async def story() -> None:
        topic = feed()
        async with AsyncPublisher(balancer.url, BACKEND, source="/newsroom") as publisher:
            balancer.plan = [refuse(503), lose_answer]
            await asyncio.gather(*(publisher.publish(topic.of({"id": str(n)})) for n in range(5)))
            assert sorted(one["id"] for one in server.kept(topic)) == list("01234")
            answers = await publisher.batch([topic.of({"id": "5"}), topic.of({"id": 6})])
            assert [type(answer) for answer in answers] == [Receipt, InvalidPayload]
            assert await publisher.events(Event("article.published", {"section": "x", "article": {"id": "7"}})) == 1
            with pytest.raises(Forbidden):
                await publisher.revoke(user="u1")
            balancer.plan = [lambda handler: silence.wait() and None]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await publisher.publish(topic.of({"id": "8"}))

    asyncio.run(story())
    silence.set()


def test_what_cannot_be_an_address_a_key_a_param_or_a_payload_is_refused_before_anything_is_sent(server: Server) -> None:
    for make, says in [
        (lambda: Publisher("server", BACKEND), "`url` is the address"),
        (lambda: Publisher(server.url), "`key` is the API key"),
        (lambda: to(server, deadline_s=600), "`deadline_s`"),
        (lambda: FEED.topic(), "has the params"),
        (lambda: to(server).publish(feed().of({}, idempotency_key="ü")), "printable ASCII"),
        (lambda: to(server).publish(feed().of(float("nan"))), "not JSON compliant"),
    ]:
        with pytest.raises(ValueError, match=says):
            make()
    for section in ["", "a.b", "a b", "{a}", "\u200b"]:
        with pytest.raises(ValueError, match="one segment"):
            FEED.topic(section=section)
