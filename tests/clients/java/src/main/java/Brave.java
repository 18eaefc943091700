import brave.Span;
import brave.Tracer;
import brave.Tracing;
import brave.handler.SpanHandler;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;
import zipkin2.reporter.AsyncReporter;
import zipkin2.reporter.SpanBytesEncoder;
import zipkin2.reporter.brave.ZipkinSpanHandler;
import zipkin2.reporter.urlconnection.URLConnectionSender;

/**
 * An order by brave, whose halves of a call share an id: Brave ENCODING URL START_MS plain|gzip. ENCODING: JSON_V2, PROTO3, JSON_V1,
 * THRIFT. Prints {"trace": id, "spans": {name: id}}.
 */
public class Brave {
  static long start;
  static final Map<String, String> made = new LinkedHashMap<>();

  static Tracer tracer(String service, String ip, int port, SpanHandler handler) {
    return Tracing.newBuilder().localServiceName(service).localIp(ip).localPort(port).traceId128Bit(true)
        .addSpanHandler(handler).build().tracer();
  }

  static Span begin(Span span, String name, Span.Kind kind, int from) {
    made.put(name, span.context().spanIdString());
    return span.name(name).kind(kind).start(start + from * 1000L);
  }

  static void end(Span span, int at) {
    span.finish(start + at * 1000L);
  }

  public static void main(String[] args) {
    start = Long.parseLong(args[2]) * 1000;
    SpanBytesEncoder encoder = SpanBytesEncoder.valueOf(args[0]);
    URLConnectionSender sender = URLConnectionSender.newBuilder().endpoint(args[1]).encoding(encoder.encoding())
        .compressionEnabled(args[3].equals("gzip")).build();
    try (AsyncReporter<zipkin2.Span> reporter = AsyncReporter.builder(sender).build(encoder)) {
      SpanHandler handler = ZipkinSpanHandler.create(reporter);
      Tracer shop = tracer("shop", "10.0.0.1", 80, handler), stock = tracer("stock", "10.0.0.2", 8080, handler);

      Span root = begin(shop.newTrace(), "post /checkout", Span.Kind.SERVER, 0);
      root.remoteIpAndPort("192.0.2.9", 50000);
      root.tag("note", "\u20ac \u00fc");
      root.annotate(start + 5000, "validated");
      Span reserve = begin(shop.newChild(root.context()), "reserve", Span.Kind.CLIENT, 10);
      Span serve = begin(stock.joinSpan(reserve.context()), "serve", Span.Kind.SERVER, 20);
      serve.tag("error", "sold out");
      end(serve, 80);
      end(reserve, 90);
      Span send = begin(shop.newChild(root.context()), "send", Span.Kind.PRODUCER, 91);
      send.remoteServiceName("kafka");
      send.remoteIpAndPort("10.0.0.9", 9092);
      end(send, 92);
      Span render = begin(shop.newChild(root.context()), "render", null, 93);
      end(render, 97);
      end(root, 100);
      reporter.flush();
      System.out.println("{\"trace\": \"" + root.context().traceIdString() + "\", \"spans\": {" + made.entrySet().stream()
          .map(e -> "\"" + e.getKey() + "\": \"" + e.getValue() + "\"").collect(Collectors.joining(", ")) + "}}");
    }
  }
}
