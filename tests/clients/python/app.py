"""A call that was instrumented by hand, with the SDK set up by opentelemetry-instrument."""
from opentelemetry import trace

tracer = trace.get_tracer("app")
with tracer.start_as_current_span("GET", kind=trace.SpanKind.CLIENT):
    with tracer.start_as_current_span("GET /cart", kind=trace.SpanKind.SERVER):
        pass
