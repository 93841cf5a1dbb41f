//! Made by `tidegate types --lang rust` from the schemas of the channels. Change those: what is changed here is lost.

/// What subscribers of `shop.any` receive.
pub type ShopAnyPayload = serde_json::Value;

/// What subscribers of `shop.lists` receive.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ShopListsPayload {
    pub point: (f64, f64),
    pub path: Vec<Option<f64>>,
    pub open: Vec<serde_json::Value>,
}

/// What becomes of an order.
/// Every change is one event. */
/// What subscribers of `shop.order.{orderId}` receive.
pub type ShopOrderOrderIdPayload = OrderEvent;

/// One of the things that happen to an order.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum OrderEvent {
    Paid(OrderEventPaid),
    Shipped(OrderEventShipped),
    Note(OrderEventNote),
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OrderEventPaid {
    pub kind: OrderEventPaidKind,
    pub cents: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Person>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum OrderEventPaidKind {
    #[serde(rename = "paid")]
    Paid,
}

/// Somebody.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friends: Option<Vec<Person>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nick: Option<String>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderEventShipped {
    pub kind: OrderEventShippedKind,
    pub items: Vec<OrderEventItem>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<OrderEventShippedCarrier>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum OrderEventShippedKind {
    #[serde(rename = "shipped")]
    Shipped,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OrderEventItem {
    pub id: String,
    /// `Value` is one of some values that are no scalars: Rust cannot say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<serde_json::Value>,
    pub count: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum OrderEventShippedCarrier {
    #[serde(rename = "post")]
    Post,
    #[serde(rename = "2-day")]
    N2Day,
}

pub type OrderEventNote = String;

/// What clients may send on `shop.order.{orderId}`.
pub type ShopOrderOrderIdInbound = ShopOrderOrderIdPayload;

/// What subscribers of `shop.prices` receive.
pub type ShopPricesPayload = std::collections::BTreeMap<String, ShopPricesPayloadValue>;

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ShopPricesPayloadValue {
    pub cents: i64,
}

/// What subscribers of `shop.tree` receive.
pub type ShopTreePayload = ShopTreePayloadNode;

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShopTreePayloadNode {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Box<ShopTreePayloadNode>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<ShopTreePayloadNode>>,
}

/// What clients may send on `shop.tree`.
pub type ShopTreeInbound = Nested;

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Nested {
    Integer(i64),
    List(Vec<Nested>),
}

/// What subscribers of `shop.words` receive.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ShopWordsPayload {
    pub class: String,
    pub r#for: u64,
    pub r#type: ShopWordsPayloadType,
    #[serde(rename = "2nd")]
    pub n2nd: f64,
    /// A dash.
    #[serde(rename = "a-b")]
    pub a_b: bool,
    #[serde(rename = "Ü")]
    pub key: (),
    #[serde(rename = "__private")]
    pub _private: Option<ShopWordsPayloadPrivate>,
    /// Format: date-time.
    #[serde(rename = "publishedAt", default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<String>,
    #[serde(rename = "self", default, skip_serializing_if = "Option::is_none")]
    pub self_: Option<ShopWordsPayloadSelf>,
    /// Every other key.
    #[serde(flatten)]
    pub other_keys: std::collections::BTreeMap<String, i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ShopWordsPayloadType {
    #[serde(rename = "words")]
    Words,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum ShopWordsPayloadPrivate {
    Text(String),
    Integer(i64),
}

/// One of 1, 2: Rust has no type of so few.
pub type ShopWordsPayloadSelf = u64;
