import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanBuilder;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * The cart's trace by OpenTelemetry's SDK for Java: Otel PROTOCOL URL START_MS. PROTOCOL: grpc, http/protobuf, each also with
 * +gzip; http/protobuf+jdk sends by the JDK's HTTP client, the others by OkHttp. Prints {"trace": id, "spans": {name: id}}.
 */
public class Otel {
  static final AttributeKey<String> SYSTEM = AttributeKey.stringKey("messaging.system");
  static final AttributeKey<String> DESTINATION = AttributeKey.stringKey("messaging.destination.name");

  static Instant start;
  static final Map<String, String> made = new LinkedHashMap<>();

  static SpanExporter exporter(String protocol, String url) {
    String sender = protocol.endsWith("+jdk") ? "jdk.internal.Jdk" : "okhttp.internal.OkHttp";
    System.setProperty("io.opentelemetry.exporter.http.HttpSenderProvider",
        "io.opentelemetry.exporter.sender." + sender + "HttpSenderProvider");
    String compression = protocol.endsWith("+gzip") ? "gzip" : "none";
    if (protocol.startsWith("grpc"))
      return OtlpGrpcSpanExporter.builder().setEndpoint(url).setCompression(compression).build();
    return OtlpHttpSpanExporter.builder().setEndpoint(url).setCompression(compression).build();
  }

  static SdkTracerProvider provider(String service, String[] args) {
    Resource resource = Resource.create(Attributes.builder().put("service.name", service).put("service.version", "1.2.3")
        .put("zone", "north").put("replicas", 3).build());
    return SdkTracerProvider.builder().setResource(resource)
        .addSpanProcessor(BatchSpanProcessor.builder(exporter(args[0], args[1])).build()).build();
  }

  static Span span(Tracer tracer, Span parent, String name, SpanKind kind, int from, int to, Consumer<SpanBuilder> build,
      Consumer<Span> fill) {
    SpanBuilder builder = tracer.spanBuilder(name).setSpanKind(kind).setStartTimestamp(start.plusMillis(from));
    if (parent != null)
      builder.setParent(Context.root().with(parent));
    build.accept(builder);
    Span span = builder.startSpan();
    fill.accept(span);
    span.end(start.plusMillis(to));
    made.put(name, span.getSpanContext().getSpanId());
    return span;
  }

  public static void main(String[] args) {
    start = Instant.ofEpochMilli(Long.parseLong(args[2]));
    SdkTracerProvider shopProvider = provider("shop", args), mailProvider = provider("mail", args);
    Tracer shop = shopProvider.tracerBuilder("cart.test").setInstrumentationVersion("4.5.6").build();
    Tracer mail = mailProvider.get("mail.test");
    Consumer<SpanBuilder> plain = b -> {};
    Consumer<SpanBuilder> orders = b -> b.setAttribute(SYSTEM, "kafka").setAttribute(DESTINATION, "orders");

    Span root = span(shop, null, "GET /cart", SpanKind.SERVER, 0, 250, plain, s -> {
      s.setAllAttributes(Attributes.builder().put("http.request.method", "GET").put("note", "\u20ac \u00fc \u6f22")
          .put("cached", true).put("rows", 42).put("negative", -7).put("ratio", 0.25).put("names", "a", "b").put("sizes", 1, 2)
          .put("flags", true, false).put("largest", Long.MAX_VALUE).build());
      s.addEvent("cache miss", Attributes.builder().put("key", "k1").put("attempts", 2).build(), start.plusMillis(5));
    });
    span(shop, root, "load", SpanKind.CLIENT, 10, 60,
        b -> b.setAttribute("db.system.name", "postgresql").setAttribute("server.address", "db"), s -> {
          s.addEvent("exception", Attributes.builder().put("exception.type", "TimeoutException")
              .put("exception.message", "timed out").build(), start.plusMillis(59));
          s.setStatus(StatusCode.ERROR, "timed out");
        });
    Span publish = span(shop, root, "publish", SpanKind.PRODUCER, 70, 75, orders, s -> {});
    Span deliver = span(mail, publish, "deliver", SpanKind.CONSUMER, 100, 200, orders.andThen(
        b -> b.addLink(root.getSpanContext(), Attributes.builder().put("reason", "batch").build())), s -> {});
    span(mail, deliver, "render", SpanKind.INTERNAL, 120, 150, plain, s -> s.setStatus(StatusCode.OK));

    shopProvider.shutdown().join(10, TimeUnit.SECONDS);
    mailProvider.shutdown().join(10, TimeUnit.SECONDS);
    System.out.println("{\"trace\": \"" + root.getSpanContext().getTraceId() + "\", \"spans\": {" + made.entrySet().stream()
        .map(e -> "\"" + e.getKey() + "\": \"" + e.getValue() + "\"").collect(Collectors.joining(", ")) + "}}");
  }
}
