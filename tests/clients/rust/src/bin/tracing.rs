//! A request by the crates tracing and tracing-opentelemetry:  tracing URL
//! Prints {"trace": id, "spans": {name: id}}.

use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::Resource;
use serde_json::json;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

#[tracing::instrument(fields(otel.kind = "client"), err)]
fn load(key: &str) -> Result<(), std::io::Error> {
    Err(std::io::Error::new(std::io::ErrorKind::TimedOut, format!("{key} timed out")))
}

fn main() {
    let url = std::env::args().nth(1).expect("tracing URL");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _within = runtime.enter();
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder_empty().with_attribute(KeyValue::new("service.name", "shop")).build())
        .with_batch_exporter(SpanExporter::builder().with_tonic().with_endpoint(url).build().unwrap())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("tracing.test"));
    let (trace, root, child) = tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let root = tracing::info_span!(
            "request",
            otel.name = "GET /cart",
            otel.kind = "server",
            note = "\u{20ac} \u{fc}",
            cached = true,
            rows = 42,
            ratio = 0.25
        );
        let _entered = root.enter();
        tracing::info!(attempts = 2, "cache miss");
        let child = tracing::info_span!("render");
        child.follows_from(&root);
        child.in_scope(|| load("k1")).unwrap_err();
        let context = root.context().span().span_context().clone();
        (context.trace_id(), context.span_id(), child.context().span().span_context().span_id())
    });
    provider.shutdown().unwrap();
    println!("{}", json!({"trace": trace.to_string(), "spans": {"GET /cart": root.to_string(), "render": child.to_string()}}));
}
