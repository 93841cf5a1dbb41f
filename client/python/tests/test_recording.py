"""The recording publisher: no server runs here, but for the last test, which asks a real one the same questions."""

import asyncio
from typing import Any

import pytest
from conftest import BACKEND, CHANNELS, Server

from tidegate_publisher import Channel, Event, IdempotencyConflict, InvalidPayload, Publisher, Receipt, Temporary
from tidegate_publisher import TidegateError, Topic, UnknownChannel
from tidegate_publisher.recording import AsyncRecordingPublisher, RecordingPublisher

ALL = Channel[str]("feed.all").topic()

# Judged by the double and by the server.
QUESTIONS: list[tuple[str, Any]] = [
    ("feed.sports", {"id": "7"}),
    ("feed.sports", {"id": "7", "title": "A title that is too long for it"}),
    ("feed.sports", {"id": 7, "words": ["a", 1]}),
    ("feed.sports", {"id": "7", "author": {"name": "Ünal"}, "published_at": "2026-11-30T12:00:00Z"}),
    ("feed.sports", {"id": "7", "author": {"name": "ünal"}}),
    ("feed.sports", {"id": "7", "published_at": "yesterday"}),
    ("feed.sports", {"id": "7", "published_at": "2024-01-01 00:00:00Z"}),
    ("feed.sports", {}),
    ("feed.all", "A headline"),
    ("feed.all", {"id": "7"}),
    ("feed.sports.today", {"id": "7"}),
    ("feed.two words", {"id": "7"}),
    ("feed.{section}", {"id": "7"}),
    ("feed.", {"id": "7"}),
    (f"feed.{'x' * 251}", {"id": "7"}),
    ("notifications.user.u1", {"kind": "reply", "text": "Hello"}),
    ("notifications.user.u1", {"kind": "poke", "text": "Hello", "more": True}),
    ("tidegate.own", {}),
]


def test_it_keeps_what_was_published_with_its_topic_and_its_channel() -> None:
    tidegate = RecordingPublisher(CHANNELS)
    tidegate.publish("feed.sports", {"id": "7"}, idempotency_key='the "7"')
    assert tidegate.batch([ALL.of("One", idempotency_key="8")]) == [Receipt()]
    assert tidegate.recorded.publications == [
        {"topic": "feed.sports", "channel": "feed.{section}", "payload": {"id": "7"}, "idempotency_key": 'the "7"'},
        {"topic": "feed.all", "channel": "feed.all", "payload": "One", "idempotency_key": "8"},
    ]


def test_it_fails_for_an_undeclared_topic_and_a_wrong_payload() -> None:
    tidegate = RecordingPublisher(CHANNELS)
    with pytest.raises(UnknownChannel, match=r"feed\.sports\.today"):
        tidegate.publish("feed.sports.today", {"id": "7"})
    with pytest.raises(InvalidPayload, match=r"feed\.\{section\}.*/id: "):
        tidegate.publish("feed.sports", {"id": 7})
    answers = tidegate.batch([ALL.of("One"), Topic[Any]("feed.all").of(1)])
    assert [type(answer) for answer in answers] == [Receipt, InvalidPayload]
    assert len(tidegate.recorded.publications) == 1


def test_it_publishes_a_key_once() -> None:
    tidegate = RecordingPublisher(CHANNELS)
    for _ in range(2):
        tidegate.publish(ALL.of("One", idempotency_key="k"))
    with pytest.raises(IdempotencyConflict):
        tidegate.publish(ALL.of("Two", idempotency_key="k"))
    assert len(tidegate.recorded.publications) == 1


def test_it_keeps_events_and_revocations_and_refuses_what_the_server_would() -> None:
    tidegate = RecordingPublisher(CHANNELS, source="/newsroom")
    tidegate.events(Event("article.published", {"id": "7"}))
    tidegate.revoke(user="u1", issued_before=1)
    [event] = tidegate.recorded.bus_events
    assert (event["type"], event["source"], event["data"]) == ("article.published", "/newsroom", {"id": "7"})
    assert tidegate.recorded.revocations == [{"user": "u1", "issued_before": 1}]
    with pytest.raises(InvalidPayload):
        tidegate.events(Event("tidegate.own"))
    with pytest.raises(UnknownChannel):
        tidegate.revoke(topic="no.such")


def test_it_fails_as_often_as_a_test_says() -> None:
    tidegate = RecordingPublisher(CHANNELS)
    tidegate.recorded.fail("unavailable")
    with pytest.raises(Temporary) as refused:
        tidegate.publish(ALL.of("One"))
    assert refused.value.status == 503
    patient = RecordingPublisher(CHANNELS, attempts=3)
    patient.recorded.fail("unreachable", 2)
    patient.publish(ALL.of("One"))
    assert len(patient.recorded.publications) == 1
    with pytest.raises(FileNotFoundError, match="no channel manifests in `nowhere`"):
        RecordingPublisher("nowhere")


def test_it_is_there_for_asyncio() -> None:
    tidegate = AsyncRecordingPublisher(CHANNELS)
    asyncio.run(tidegate.publish(ALL.of("One")))
    assert [one["payload"] for one in tidegate.recorded.publications] == ["One"]


def test_it_judges_as_the_server_does(server: Server) -> None:
    def answer(publisher: Publisher, topic: str, payload: Any) -> object:
        try:
            publisher.publish(topic, payload)
            return "taken"
        except TidegateError as error:
            return error.code, error.status, sorted(one.path for one in error.violations)

    double, real = RecordingPublisher(CHANNELS), Publisher(server.url, BACKEND)
    for topic, payload in QUESTIONS:
        assert answer(double, topic, payload) == answer(real, topic, payload), (topic, payload)
