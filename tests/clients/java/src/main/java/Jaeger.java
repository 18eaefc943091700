import io.jaegertracing.Configuration;
import io.jaegertracing.internal.JaegerSpanContext;
import io.jaegertracing.internal.JaegerTracer;
import io.opentracing.References;
import io.opentracing.Span;
import io.opentracing.SpanContext;
import io.opentracing.propagation.Format;
import io.opentracing.propagation.TextMapAdapter;
import io.opentracing.tag.Tags;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * A checkout by jaeger-client for Java, which sends to where variables say: Jaeger START_MS. Prints {"trace": id, "spans": {name:
 * id}}. Without arguments one span.
 */
public class Jaeger {
  static long start;
  static final Map<String, String> made = new LinkedHashMap<>();

  static Span begin(JaegerTracer tracer, String name, int from, String reference, SpanContext to) {
    return tracer.buildSpan(name).ignoreActiveSpan().addReference(reference, to).withStartTimestamp(start + from * 1000L).start();
  }

  static void end(Span span, String name, int at) {
    span.finish(start + at * 1000L);
    made.put(name, String.format("%016x", ((JaegerSpanContext) span.context()).getSpanId()));
  }

  /** One span as variables say. */
  static void byVariables() throws InterruptedException {
    JaegerTracer tracer = Configuration.fromEnv().getTracer();
    for (int tries = 0;; tries++) { // a remote sampler asks first
      Span span = tracer.buildSpan("GET /cart").withTag(Tags.SPAN_KIND, Tags.SPAN_KIND_SERVER).start();
      span.finish();
      if (((JaegerSpanContext) span.context()).isSampled())
        break;
      if (tries == 400)
        throw new IllegalStateException("never sampled");
      Thread.sleep(25);
    }
    tracer.close();
  }

  public static void main(String[] args) throws InterruptedException {
    if (args.length == 0) {
      byVariables();
      return;
    }
    start = Long.parseLong(args[0]) * 1000;
    JaegerTracer shop = Configuration.fromEnv("shop").getTracer(), stock = Configuration.fromEnv("stock").getTracer();
    Span root = begin(shop, "POST /checkout", 0, null, null);
    root.setTag(Tags.SPAN_KIND, Tags.SPAN_KIND_SERVER);
    root.setTag("note", "\u20ac \u00fc").setTag("gift", true).setTag("items", 3).setTag("total", 19.5).setTag("largest", Long.MAX_VALUE);
    Span reserve = begin(shop, "reserve", 10, References.CHILD_OF, root.context());
    reserve.setTag(Tags.SPAN_KIND, Tags.SPAN_KIND_CLIENT);
    Map<String, String> carrier = new HashMap<>();
    shop.inject(reserve.context(), Format.Builtin.TEXT_MAP, new TextMapAdapter(carrier));
    Span serve = begin(stock, "serve", 20, References.CHILD_OF, stock.extract(Format.Builtin.TEXT_MAP, new TextMapAdapter(carrier)));
    serve.setTag(Tags.SPAN_KIND, Tags.SPAN_KIND_SERVER);
    serve.setTag(Tags.ERROR, true);
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("event", "error");
    fields.put("message", "sold out");
    fields.put("left", 0);
    serve.log(start + 70_000, fields);
    end(serve, "serve", 80);
    end(reserve, "reserve", 90);
    end(begin(shop, "notify", 100, References.FOLLOWS_FROM, root.context()), "notify", 110);
    end(root, "POST /checkout", 100);
    shop.close();
    stock.close();
    System.out.println("{\"trace\": \"" + ((JaegerSpanContext) root.context()).getTraceId() + "\", \"spans\": {" + made.entrySet()
        .stream().map(e -> "\"" + e.getKey() + "\": \"" + e.getValue() + "\"").collect(Collectors.joining(", ")) + "}}");
  }
}
