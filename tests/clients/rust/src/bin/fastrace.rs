//! A request by fastrace:  fastrace udp|otlp WHERE
//! Prints {"trace": id}; ids of spans are told to nobody.

use fastrace::collector::{Config, SpanContext};
use fastrace::{Event, Span};
use fastrace_jaeger::JaegerReporter;
use fastrace_opentelemetry::OpenTelemetryReporter;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use serde_json::json;
use std::borrow::Cow;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, way, to] = &arguments[..] else { panic!("fastrace udp|otlp WHERE") };
    if way == "udp" {
        fastrace::set_reporter(JaegerReporter::new(to.parse().unwrap(), "shop").unwrap(), Config::default());
    } else {
        let exporter = SpanExporter::builder().with_http().with_endpoint(to).build().unwrap();
        let resource = Resource::builder_empty().with_attribute(KeyValue::new("service.name", "shop")).build();
        let scope = InstrumentationScope::builder("fastrace.test").build();
        fastrace::set_reporter(OpenTelemetryReporter::new(exporter, Cow::Owned(resource), scope), Config::default());
    }
    let context = SpanContext::random();
    {
        let root = Span::root("GET /cart", context).with_properties(|| [("span.kind", "server"), ("note", "\u{20ac} \u{fc}")]);
        root.add_event(Event::new("cache miss").with_property(|| ("key", "k1")));
        let load = Span::enter_with_parent("load", &root);
        let failed = [("span.kind", "client"), ("span.status_code", "error"), ("span.status_description", "timed out")];
        let load = load.with_properties(|| failed);
        drop(Span::enter_with_parent("connect", &load));
    }
    fastrace::flush();
    println!("{}", json!({"trace": context.trace_id.to_string()}));
}
