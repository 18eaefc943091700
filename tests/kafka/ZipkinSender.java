/* Sends a span by Zipkin's own Kafka sender:  java -cp 'libs/*' ZipkinSender.java BOOTSTRAP TOPIC ENCODING TRACE
 * ENCODING is JSON, PROTO3 or THRIFT. */
import java.util.List;
import zipkin2.Endpoint;
import zipkin2.Span;
import zipkin2.codec.SpanBytesEncoder;
import zipkin2.reporter.Encoding;
import zipkin2.reporter.kafka.KafkaSender;

public class ZipkinSender {
    public static void main(String[] args) throws Exception {
        Encoding encoding = Encoding.valueOf(args[2]);
        SpanBytesEncoder encoder = switch (encoding) {
            case JSON -> SpanBytesEncoder.JSON_V2;
            case PROTO3 -> SpanBytesEncoder.PROTO3;
            case THRIFT -> SpanBytesEncoder.THRIFT;
        };
        Span span = Span.newBuilder().traceId(args[3]).id("7").name("op").kind(Span.Kind.SERVER).timestamp(System.currentTimeMillis() * 1000)
            .duration(2500).localEndpoint(Endpoint.newBuilder().serviceName("svc").build()).putTag("k", "v").build();
        try (KafkaSender sender = KafkaSender.newBuilder().bootstrapServers(args[0]).topic(args[1]).encoding(encoding).build()) {
            sender.send(List.of(encoder.encode(span)));
        }
    }
}
