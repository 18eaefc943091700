//! The checkout by OpenTracing's API, whichever implementation of it the program calls `api` and `jaeger`.

use crate::api::sampler::AllSampler;
use crate::api::tag::{StdTag, Tag};
use crate::jaeger::span::{FinishedSpan, Span, SpanReceiver};
use crate::jaeger::Tracer;
use serde_json::{json, Map, Value};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub struct Checkout {
    /// {"trace": id, "spans": {name: id}}
    pub said: Value,
    pub shop: Vec<FinishedSpan>,
    pub stock: Vec<FinishedSpan>,
}

#[allow(unused_mut)] // one of the two needs it
fn finished(mut receiver: SpanReceiver) -> Vec<FinishedSpan> {
    std::iter::from_fn(|| receiver.try_recv().ok()).collect()
}

pub fn checkout(start_ms: &str) -> Checkout {
    let start = UNIX_EPOCH + Duration::from_millis(start_ms.parse().unwrap());
    let at = |ms| -> SystemTime { start + Duration::from_millis(ms) };
    let ((shop, of_shop), (stock, of_stock)) = (Tracer::new(AllSampler), Tracer::new(AllSampler));
    let mut ids = Map::new();
    let mut finish = |name: &str, mut span: Span, ms| {
        ids.insert(name.to_string(), json!(format!("{:016x}", span.context().unwrap().state().span_id())));
        span.set_finish_time(|| at(ms));
    };

    let root = shop
        .span("POST /checkout")
        .start_time(at(0))
        .tag(StdTag::span_kind("server"))
        .tag(Tag::new("note", "\u{20ac} \u{fc}"))
        .tag(Tag::new("gift", true))
        .tag(Tag::new("items", 3_i64))
        .tag(Tag::new("total", 19.5))
        .tag(Tag::new("largest", i64::MAX))
        .start();
    let context = root.context().unwrap().clone();
    let reserve = shop.span("reserve").start_time(at(10)).child_of(&context).tag(StdTag::span_kind("client")).start();
    let mut serve = stock.span("serve").start_time(at(20)).child_of(&reserve).tag(StdTag::span_kind("server")).start();
    serve.set_tag(StdTag::error);
    serve.log(|log| {
        log.time(at(70)).field(("left", "0")).error().message("sold out");
    });
    finish("serve", serve, 80);
    finish("reserve", reserve, 90);
    finish("notify", shop.span("notify").start_time(at(100)).follows_from(&context).start(), 110);
    finish("POST /checkout", root, 100);

    let said = json!({"trace": context.state().trace_id().to_string(), "spans": ids});
    Checkout { said, shop: finished(of_shop), stock: finished(of_stock) }
}
