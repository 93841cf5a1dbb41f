"""Held by mypy: what is typed by `tidegate types` is taken, and each `type: ignore` is owed (`warn_unused_ignores`)."""

from channels import FeedSectionPayload, NotificationsUserUserIdPayload

from tidegate_publisher import AsyncPublisher, Channel, Publisher
from tidegate_publisher.recording import RecordingPublisher

ARTICLES = Channel[FeedSectionPayload]("feed.{section}")
NOTES = Channel[NotificationsUserUserIdPayload]("notifications.user.{userId}")
article = ARTICLES.topic(section="sports")
note = NOTES.topic(userId="u42")


def in_threads(tidegate: Publisher) -> None:
    tidegate.publish(article.of({"id": "7", "title": "One"}))
    tidegate.publish(note.of({"kind": "reply", "text": "Hello"}, idempotency_key="k"))
    tidegate.batch([article.of({"id": "7"}), note.of({"kind": "reply", "text": "Hello"})])
    tidegate.publish("feed.sports", {"anything": True})

    tidegate.publish(article.of({"title": "One"}))  # type: ignore[typeddict-item]
    tidegate.publish(article.of({"id": 7}))  # type: ignore[typeddict-item]
    tidegate.publish(article.of({"id": "7", "titel": "One"}))  # type: ignore[typeddict-unknown-key]
    tidegate.publish(note.of({"kind": "poke", "text": "Hello"}))  # type: ignore[typeddict-item]
    tidegate.batch([note.of({"id": "7"})])  # type: ignore[typeddict-item, typeddict-unknown-key]
    tidegate.publish(article)  # type: ignore[call-overload]


async def with_asyncio(tidegate: AsyncPublisher) -> None:
    await tidegate.publish(article.of({"id": "7"}))
    await tidegate.publish(article.of({"id": 7}))  # type: ignore[typeddict-item]


in_threads(RecordingPublisher("channels"))
