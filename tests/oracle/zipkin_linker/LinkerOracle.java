import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.TreeMap;
import zipkin2.DependencyLink;
import zipkin2.Span;
import zipkin2.codec.SpanBytesDecoder;
import zipkin2.internal.DependencyLinker;

/** Reads lines "Zipkin JSON, tab, links" and checks that Zipkin's own linker finds the same links. */
public final class LinkerOracle {
    static String links(String json) {
        List<Span> spans = SpanBytesDecoder.JSON_V2.decodeList(json.getBytes(StandardCharsets.UTF_8));
        TreeMap<String, String> sorted = new TreeMap<>();
        for (DependencyLink link : new DependencyLinker().putTrace(spans).link()) {
            String name = link.parent() + ">" + link.child();
            sorted.put(name, name + " " + link.callCount() + "/" + link.errorCount() + "; ");
        }
        return String.join("", sorted.values());
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        long traces = 0, different = 0, links = 0;
        for (String line; (line = in.readLine()) != null; traces++) {
            int tab = line.indexOf('\t');
            String ours = line.substring(tab + 1), theirs = links(line.substring(0, tab));
            links += theirs.isEmpty() ? 0 : theirs.split(";").length - 1;
            if (!ours.equals(theirs) && different++ < 5)
                System.err.println("different: " + line.substring(0, tab) + "\n  ours   " + ours + "\n  zipkin " + theirs);
        }
        System.out.println(traces + " traces, " + links + " links, " + different + " different");
        System.exit(traces == 0 || links == 0 || different > 0 ? 1 : 0);
    }
}
