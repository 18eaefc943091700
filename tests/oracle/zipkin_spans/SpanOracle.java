import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import zipkin2.Span;
import zipkin2.codec.SpanBytesDecoder;
import zipkin2.codec.SpanBytesEncoder;

/**
 * Zipkin's own codecs behind a pipe. A line "decode FORMAT HEX" is answered by "ok " and the spans as v2 JSON, "encode FORMAT HEX" (v2
 * JSON) by "ok " and the bytes in hex; either by "error " and the reason. FORMAT: JSON_V1, JSON_V2, THRIFT, PROTO3.
 */
public final class SpanOracle {
    static String answer(String line) {
        String[] words = line.split(" ", -1);
        byte[] bytes = HexFormat.of().parseHex(words[2]);
        try {
            if (words[0].equals("encode")) {
                List<Span> spans = SpanBytesDecoder.JSON_V2.decodeList(bytes);
                return "ok " + HexFormat.of().formatHex(SpanBytesEncoder.valueOf(words[1]).encodeList(spans));
            }
            List<Span> spans = SpanBytesDecoder.valueOf(words[1]).decodeList(bytes);
            return "ok " + new String(SpanBytesEncoder.JSON_V2.encodeList(spans), StandardCharsets.UTF_8);
        } catch (RuntimeException | StackOverflowError | OutOfMemoryError | AssertionError e) {
            return "error " + e.toString().replace('\n', ' ').replace('\r', ' ');
        }
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII), 1 << 20);
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line; (line = in.readLine()) != null; ) {
            out.println(answer(line));
            if (!in.ready()) out.flush();
        }
        out.flush();
    }
}
