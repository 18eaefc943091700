//! OpenTelemetry's SDK of today:  otel PROTOCOL URL START_MS
//! PROTOCOL: grpc, http/protobuf, http/json, each also with +gzip or +zstd; zipkin. With the URL `env` it sends to where variables say.
//! Prints {"trace": id, "spans": {name: id}} of the cart. With `steady` for the start it makes a span of each line that it reads,
//! flushes, and prints {"sent": whether that went well}.

use opentelemetry as api;
use opentelemetry::trace::{Span, SpanKind, Tracer, TracerProvider};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{Compression, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::trace::{SdkTracerProvider, TracerProviderBuilder};
use opentelemetry_sdk::Resource;
use serde_json::json;

#[path = "../cart.rs"]
mod cart;

fn grpc(url: &str, compression: Option<Compression>) -> SpanExporter {
    let mut builder = SpanExporter::builder().with_tonic().with_endpoint(url);
    if let Some(compression) = compression {
        builder = builder.with_compression(compression);
    }
    if let Ok(file) = std::env::var("OTEL_EXPORTER_OTLP_CERTIFICATE") {
        let ca = Certificate::from_pem(std::fs::read(file).unwrap());
        builder = builder.with_tls_config(ClientTlsConfig::new().ca_certificate(ca));
    }
    builder.build().unwrap()
}

fn http(url: &str, protocol: Protocol, compression: Option<Compression>) -> SpanExporter {
    let mut builder = SpanExporter::builder().with_http().with_endpoint(url).with_protocol(protocol);
    if let Some(compression) = compression {
        builder = builder.with_compression(compression);
    }
    builder.build().unwrap()
}

#[allow(deprecated)] // for OTLP
fn zipkin(url: &str) -> opentelemetry_zipkin::ZipkinExporter {
    opentelemetry_zipkin::ZipkinExporter::builder().with_collector_endpoint(url).build().unwrap()
}

fn exporting(builder: TracerProviderBuilder, protocol: &str, url: &str) -> TracerProviderBuilder {
    let (kind, compression) = protocol.split_once('+').map_or((protocol, None), |(kind, name)| (kind, Some(name.parse().unwrap())));
    match (kind, url) {
        (_, "env") => builder.with_batch_exporter(SpanExporter::builder().build().unwrap()),
        ("grpc", _) => builder.with_batch_exporter(grpc(url, compression)),
        ("http/protobuf", _) => builder.with_batch_exporter(http(url, Protocol::HttpBinary, compression)),
        ("http/json", _) => builder.with_batch_exporter(http(url, Protocol::HttpJson, compression)),
        ("zipkin", _) => builder.with_batch_exporter(zipkin(url)),
        _ => panic!("no such protocol: {protocol}"),
    }
}

fn provider(protocol: &str, url: &str, service: &'static str) -> SdkTracerProvider {
    let resource = Resource::builder_empty().with_attributes(cart::resource(service)).build();
    exporting(SdkTracerProvider::builder().with_resource(resource), protocol, url).build()
}

fn steady(provider: &SdkTracerProvider) {
    let tracer = provider.tracer("steady");
    for name in std::io::stdin().lines() {
        tracer.span_builder(name.unwrap()).with_kind(SpanKind::Server).start(&tracer).end();
        println!("{}", json!({"sent": provider.force_flush().is_ok()}));
    }
}

fn by_variables() {
    let provider = exporting(SdkTracerProvider::builder(), "", "env").build();
    let tracer = provider.tracer("env");
    tracer.span_builder("GET /cart").with_kind(SpanKind::Server).with_attributes([KeyValue::new("rows", 42)]).start(&tracer).end();
    provider.shutdown().unwrap();
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _within = runtime.enter();
    let [_, protocol, url, start] = &arguments[..] else { return by_variables() };
    let (shop, mail) = (provider(protocol, url, "shop"), provider(protocol, url, "mail"));
    if start == "steady" {
        return steady(&shop);
    }
    let scope = InstrumentationScope::builder("cart.test").with_version("4.5.6").build();
    let said = cart::cart(&shop.tracer_with_scope(scope), &mail.tracer("mail.test"), start);
    for provider in [shop, mail] {
        provider.force_flush().unwrap(); // a shutdown flushes too, but says nothing of what cannot be sent
        provider.shutdown().unwrap();
    }
    println!("{said}");
}
