# Made by `tidegate types --lang python` from the schemas of the channels. Change those: what is changed here is lost.

from typing import Any, Literal, NotRequired, Optional, TypedDict, Union


# What subscribers of `shop.lists` receive.
class ShopListsPayload(TypedDict):
    point: tuple[float, float]
    path: list[Optional[float]]
    open: list[Any]


class OrderEventPaid(TypedDict):
    kind: "OrderEventPaidKind"
    cents: int
    by: NotRequired["Person"]


# Somebody.
class Person(TypedDict):
    id: str
    friends: NotRequired[list["Person"]]
    nick: NotRequired[Optional[str]]


class OrderEventShipped(TypedDict):
    kind: "OrderEventShippedKind"
    items: list["OrderEventItem"]
    carrier: NotRequired[Optional["OrderEventShippedCarrier"]]


class OrderEventItem(TypedDict):
    id: str
    # `Any` is one of some values that are no scalars: Python cannot say it.
    size: NotRequired[Any]
    count: int


class ShopPricesPayloadValue(TypedDict):
    cents: int


class ShopTreePayloadNode(TypedDict):
    name: str
    left: NotRequired["ShopTreePayloadNode"]
    children: NotRequired[list["ShopTreePayloadNode"]]


# What subscribers of `shop.words` receive.
ShopWordsPayload = TypedDict(
    "ShopWordsPayload",
    {
        "class": str,
        "for": int,
        "type": "ShopWordsPayloadType",
        "2nd": float,
        # A dash.
        "a-b": bool,
        "Ü": None,
        "__private": Optional["ShopWordsPayloadPrivate"],
        # Format: date-time.
        "publishedAt": NotRequired[str],
        "self": NotRequired["ShopWordsPayloadSelf"],
        # Every other key holds int: a TypedDict cannot say it.
    },
)


# What subscribers of `shop.any` receive.
ShopAnyPayload = Any


OrderEventNote = str


# One of the things that happen to an order.
OrderEvent = Union[OrderEventPaid, OrderEventShipped, OrderEventNote]


# What becomes of an order.
# Every change is one event. */
# What subscribers of `shop.order.{orderId}` receive.
ShopOrderOrderIdPayload = OrderEvent


OrderEventPaidKind = Literal["paid"]


OrderEventShippedKind = Literal["shipped"]


OrderEventShippedCarrier = Literal["post", "2-day"]


# What clients may send on `shop.order.{orderId}`.
ShopOrderOrderIdInbound = ShopOrderOrderIdPayload


# What subscribers of `shop.prices` receive.
ShopPricesPayload = dict[str, ShopPricesPayloadValue]


# What subscribers of `shop.tree` receive.
ShopTreePayload = ShopTreePayloadNode


# `Any` is `Nested` again, and a name cannot hold itself: Python cannot say it.
Nested = Union[int, list[Any]]


# What clients may send on `shop.tree`.
ShopTreeInbound = Nested


ShopWordsPayloadType = Literal["words"]


ShopWordsPayloadPrivate = Union[str, int]


ShopWordsPayloadSelf = Literal[1, 2]
