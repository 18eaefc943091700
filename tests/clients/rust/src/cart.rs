//! The cart's trace by OpenTelemetry's API, whichever version of it the program calls `api`.

use crate::api::trace::{Link, Span, SpanContext, SpanKind, Status, TraceContextExt, Tracer};
use crate::api::{Array, Context, KeyValue, StringValue, Value};
use serde_json::{json, Map};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

struct Client {
    start: SystemTime,
    spans: Map<String, serde_json::Value>,
}

struct Made<'a> {
    name: &'static str,
    kind: SpanKind,
    parent: Option<&'a SpanContext>,
    ms: (u64, u64),
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
}

impl Client {
    fn at(&self, ms: u64) -> SystemTime {
        self.start + Duration::from_millis(ms)
    }

    fn span<T: Tracer>(&mut self, tracer: &T, made: Made, fill: impl FnOnce(&mut T::Span, &Client)) -> SpanContext {
        let parent = made.parent.map_or(Context::new(), |parent| Context::new().with_remote_span_context(parent.clone()));
        let mut span = tracer
            .span_builder(made.name)
            .with_kind(made.kind)
            .with_start_time(self.at(made.ms.0))
            .with_attributes(made.attributes)
            .with_links(made.links)
            .start_with_context(tracer, &parent);
        fill(&mut span, self);
        span.end_with_timestamp(self.at(made.ms.1));
        let context = span.span_context().clone();
        self.spans.insert(made.name.to_string(), json!(context.span_id().to_string()));
        context
    }
}

/// What belongs to the resource of both services.
pub fn resource(service: &'static str) -> [KeyValue; 4] {
    [
        KeyValue::new("service.name", service),
        KeyValue::new("service.version", "1.2.3"),
        KeyValue::new("zone", "north"),
        KeyValue::new("replicas", 3),
    ]
}

fn array(value: impl Into<Array>) -> Value {
    Value::Array(value.into())
}

/// {"trace": id, "spans": {name: id}} of a cart that began so many milliseconds after 1970.
pub fn cart<T: Tracer>(shop: &T, mail: &T, start_ms: &str) -> serde_json::Value {
    let start = UNIX_EPOCH + Duration::from_millis(start_ms.parse().unwrap());
    let mut client = Client { start, spans: Map::new() };
    let orders = [KeyValue::new("messaging.system", "kafka"), KeyValue::new("messaging.destination.name", "orders")];
    let database = [KeyValue::new("db.system.name", "postgresql"), KeyValue::new("server.address", "db")];

    let attributes = vec![
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("note", "\u{20ac} \u{fc} \u{6f22}"),
        KeyValue::new("cached", true),
        KeyValue::new("rows", 42),
        KeyValue::new("negative", -7),
        KeyValue::new("ratio", 0.25),
        KeyValue::new("names", array(["a", "b"].map(StringValue::from).to_vec())),
        KeyValue::new("sizes", array(vec![1_i64, 2])),
        KeyValue::new("flags", array(vec![true, false])),
        KeyValue::new("weights", array(vec![0.5, 2.25])),
        KeyValue::new("largest", i64::MAX),
    ];
    let made = Made { name: "GET /cart", kind: SpanKind::Server, parent: None, ms: (0, 250), attributes, links: vec![] };
    let root = client.span(shop, made, |span, client| {
        span.add_event_with_timestamp("cache miss", client.at(5), vec![KeyValue::new("key", "k1"), KeyValue::new("attempts", 2)]);
    });
    let made =
        Made { name: "load", kind: SpanKind::Client, parent: Some(&root), ms: (10, 60), attributes: database.to_vec(), links: vec![] };
    client.span(shop, made, |span, client| {
        span.add_event_with_timestamp("exception", client.at(59), vec![KeyValue::new("exception.message", "timed out")]);
        span.set_status(Status::error("timed out"));
    });
    let made =
        Made { name: "publish", kind: SpanKind::Producer, parent: Some(&root), ms: (70, 75), attributes: orders.to_vec(), links: vec![] };
    let publish = client.span(shop, made, |_, _| ());
    let links = vec![Link::new(root.clone(), vec![KeyValue::new("reason", "batch")], 0)];
    let made =
        Made { name: "deliver", kind: SpanKind::Consumer, parent: Some(&publish), ms: (100, 200), attributes: orders.to_vec(), links };
    let deliver = client.span(mail, made, |_, _| ());
    let made = Made { name: "render", kind: SpanKind::Internal, parent: Some(&deliver), ms: (120, 150), attributes: vec![], links: vec![] };
    client.span(mail, made, |span, _| span.set_status(Status::Ok));

    json!({"trace": root.trace_id().to_string(), "spans": client.spans})
}
