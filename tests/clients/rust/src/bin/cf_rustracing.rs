//! A checkout by cf-rustracing-jaeger, which Cloudflare's foundations have:  cf_rustracing compact|binary ADDRESS START_MS
//! Prints {"trace": id, "spans": {name: id}}.

use cf_rustracing as api;
use cf_rustracing::tag::Tag;
use cf_rustracing_jaeger as jaeger;
use cf_rustracing_jaeger::reporter::{JaegerBinaryReporter, JaegerCompactReporter};
use cf_rustracing_jaeger::span::FinishedSpan;
use std::net::SocketAddr;

#[path = "../checkout.rs"]
mod checkout;

async fn report(protocol: &str, to: SocketAddr, service: &str, spans: &[FinishedSpan]) {
    let from = "127.0.0.1:0".parse().unwrap();
    if protocol == "compact" {
        let mut reporter = JaegerCompactReporter::new(service, to, from).await.unwrap();
        reporter.add_service_tag(Tag::new("zone", "north"));
        reporter.report(spans).await.unwrap();
    } else {
        let mut reporter = JaegerBinaryReporter::new(service, to, from).await.unwrap();
        reporter.add_service_tag(Tag::new("zone", "north"));
        reporter.report(spans).await.unwrap();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, protocol, to, start] = &arguments[..] else { panic!("cf_rustracing compact|binary ADDRESS START_MS") };
    let to = to.parse().unwrap();
    let made = checkout::checkout(start);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        report(protocol, to, "shop", &made.shop).await;
        report(protocol, to, "stock", &made.stock).await;
    });
    println!("{}", made.said);
}
