//! A checkout by rustracing_jaeger:  rustracing compact|binary ADDRESS START_MS
//! Prints {"trace": id, "spans": {name: id}}.

use rustracing as api;
use rustracing::tag::Tag;
use rustracing_jaeger as jaeger;
use rustracing_jaeger::reporter::{JaegerBinaryReporter, JaegerCompactReporter};
use rustracing_jaeger::span::FinishedSpan;

#[path = "../checkout.rs"]
mod checkout;

fn report(protocol: &str, to: &str, service: &str, spans: &[FinishedSpan]) {
    let to = to.parse().unwrap();
    if protocol == "compact" {
        let mut reporter = JaegerCompactReporter::new(service).unwrap();
        reporter.set_agent_addr(to);
        reporter.add_service_tag(Tag::new("zone", "north"));
        reporter.report(spans).unwrap();
    } else {
        let mut reporter = JaegerBinaryReporter::new(service).unwrap();
        reporter.set_agent_addr(to);
        reporter.add_service_tag(Tag::new("zone", "north"));
        reporter.report(spans).unwrap();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, protocol, to, start] = &arguments[..] else { panic!("rustracing compact|binary ADDRESS START_MS") };
    let made = checkout::checkout(start);
    report(protocol, to, "shop", &made.shop);
    report(protocol, to, "stock", &made.stock);
    println!("{}", made.said);
}
