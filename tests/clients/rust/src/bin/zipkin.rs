//! An order by the crate zipkin, which has no way to send spans of its own: here as JSON by reqwest.  zipkin URL
//! Prints {"trace": id, "spans": {name: id}}.

use serde_json::{json, Map};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use zipkin::{Attached, Endpoint, Kind, OpenSpan, Report, Span};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Span>>>);

impl Report for Kept {
    fn report(&self, span: Span) {
        self.0.lock().unwrap().push(span);
    }
}

fn endpoint(service: Option<&str>, address: [u8; 4], port: u16) -> Endpoint {
    let mut builder = Endpoint::builder();
    builder.ip(IpAddr::V4(Ipv4Addr::from(address))).port(port);
    if let Some(service) = service {
        builder.service_name(service);
    }
    builder.build()
}

/// A tracer is one for the process: the other service makes its half by hand.
fn serve(reserve: &OpenSpan<Attached>, kept: &Kept) {
    let context = reserve.context();
    let start = std::time::SystemTime::now();
    let span = Span::builder()
        .trace_id(context.trace_id())
        .id(context.span_id())
        .parent_id(context.parent_id().unwrap())
        .name("serve")
        .kind(Kind::Server)
        .shared(true)
        .timestamp(start)
        .duration(Duration::from_micros(1500))
        .local_endpoint(endpoint(Some("stock"), [10, 0, 0, 2], 8080))
        .tag("error", "sold out")
        .build();
    kept.report(span);
}

fn main() {
    let url = std::env::args().nth(1).expect("zipkin URL");
    let kept = Kept::default();
    zipkin::set_tracer(zipkin::sample::AlwaysSampler, kept.clone(), endpoint(Some("shop"), [10, 0, 0, 1], 80)).unwrap();
    let mut ids = Map::new();
    let mut note = |name: &str, span: &OpenSpan<Attached>| {
        ids.insert(name.to_string(), json!(span.context().span_id().to_string()));
    };

    let mut root = zipkin::new_trace().with_name("post /checkout").with_kind(Kind::Server);
    root.remote_endpoint(endpoint(None, [192, 0, 2, 9], 50000));
    root.tag("note", "\u{20ac} \u{fc}");
    root.annotate("validated");
    let trace = root.context().trace_id().to_string();
    note("post /checkout", &root);
    let reserve = zipkin::next_span().with_name("reserve").with_kind(Kind::Client);
    note("reserve", &reserve);
    note("serve", &reserve);
    serve(&reserve, &kept);
    drop(reserve);
    let send = zipkin::next_span().with_name("send").with_kind(Kind::Producer);
    let send = send.with_remote_endpoint(endpoint(Some("kafka"), [10, 0, 0, 9], 9092));
    note("send", &send);
    drop(send);
    let render = zipkin::next_span().with_name("render");
    note("render", &render);
    drop(render);
    drop(root);

    let body = serde_json::to_vec(&*kept.0.lock().unwrap()).unwrap();
    let reply = reqwest::blocking::Client::new().post(url).header("content-type", "application/json").body(body).send().unwrap();
    assert_eq!(reply.status(), 202);
    println!("{}", json!({"trace": trace, "spans": ids}));
}
