//! OpenTelemetry's SDK of 2024, the last one with exporters to Jaeger:  otel_former EXPORTER WHERE START_MS
//! EXPORTER: jaeger-udp, jaeger-http, zipkin, grpc, grpc+gzip. Prints {"trace": id, "spans": {name: id}} of the cart.
#![allow(deprecated)] // that is what it is for

use opentelemetry_former as api;
use opentelemetry_former::trace::TracerProvider;
use opentelemetry_http_former::hyper::HyperClient;
use opentelemetry_otlp_former::{Compression, WithExportConfig};
use opentelemetry_sdk_former::runtime::Tokio;
use opentelemetry_sdk_former::trace::{Config, TracerProvider as SdkTracerProvider};
use opentelemetry_sdk_former::Resource;
use std::time::Duration;

#[path = "../cart.rs"]
mod cart;

fn provider(exporter: &str, to: &str, service: &'static str) -> SdkTracerProvider {
    let config = Config::default().with_resource(Resource::new(cart::resource(service)));
    let builder = SdkTracerProvider::builder();
    match exporter {
        "jaeger-udp" => opentelemetry_jaeger::new_agent_pipeline()
            .with_endpoint(to)
            .with_service_name(service)
            .with_trace_config(config)
            .with_auto_split_batch(true)
            .build_batch(Tokio)
            .unwrap(),
        "jaeger-http" => opentelemetry_jaeger::new_collector_pipeline()
            .with_endpoint(to)
            .with_service_name(service)
            .with_trace_config(config)
            .with_hyper()
            .build_batch(Tokio)
            .unwrap(),
        "zipkin" => {
            let client = HyperClient::new_with_timeout(hyper_former::Client::new(), Duration::from_secs(10));
            let exporter = opentelemetry_zipkin_former::new_pipeline()
                .with_service_name(service)
                .with_collector_endpoint(to)
                .with_http_client(client)
                .init_exporter();
            builder.with_config(config).with_batch_exporter(exporter.unwrap(), Tokio).build()
        }
        _ => {
            let mut grpc = opentelemetry_otlp_former::new_exporter().tonic().with_endpoint(to);
            if exporter == "grpc+gzip" {
                grpc = grpc.with_compression(Compression::Gzip);
            }
            builder.with_config(config).with_batch_exporter(grpc.build_span_exporter().unwrap(), Tokio).build()
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, exporter, to, start] = &arguments[..] else { panic!("otel_former EXPORTER WHERE START_MS") };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _within = runtime.enter();
    let (shop, mail) = (provider(exporter, to, "shop"), provider(exporter, to, "mail"));
    let tracer = shop.tracer_builder("cart.test").with_version("4.5.6").build();
    let said = cart::cart(&tracer, &mail.tracer("mail.test"), start);
    for result in shop.force_flush().into_iter().chain(mail.force_flush()) {
        result.unwrap();
    }
    println!("{said}");
}
