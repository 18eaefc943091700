//! OpenTelemetry's sampler that asks Jaeger:  sampling URL SERVICE OPERATION COUNT
//! Starts traces until one is sampled, then as many as COUNT; prints {"sampled": how many of them were}.

use opentelemetry::trace::{Span, Tracer, TracerProvider};
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use serde_json::json;
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, service, operation, count] = &arguments[..] else { panic!("sampling URL SERVICE OPERATION COUNT") };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _within = runtime.enter();
    let sampler = Sampler::jaeger_remote(Tokio, reqwest::Client::new(), Sampler::AlwaysOff, service.as_str())
        .with_endpoint(url)
        .with_update_interval(Duration::from_millis(100))
        .build();
    let provider = SdkTracerProvider::builder().with_sampler(sampler.unwrap()).build();
    let tracer = provider.tracer("sampling.test");
    let sampled = || tracer.start(operation.clone()).span_context().is_sampled();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !sampled() {
        assert!(Instant::now() < deadline, "never sampled");
        std::thread::sleep(Duration::from_millis(1));
    }
    let count: usize = count.parse().unwrap();
    println!("{}", json!({"sampled": (0..count).filter(|_| sampled()).count()}));
}
