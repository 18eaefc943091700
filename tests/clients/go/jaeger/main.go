// A checkout by jaeger-client for Go:  jaeger udp|http ADDRESS_OR_URL START_MS 64|128
// Prints {"trace": id, "spans": {name: id}}. Without arguments one span as variables say.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/opentracing/opentracing-go"
	"github.com/opentracing/opentracing-go/ext"
	otlog "github.com/opentracing/opentracing-go/log"
	"github.com/uber/jaeger-client-go"
	"github.com/uber/jaeger-client-go/config"
	"github.com/uber/jaeger-client-go/transport"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func tracerOf(service string) (opentracing.Tracer, io.Closer) {
	var reporter jaeger.Reporter
	if os.Args[1] == "udp" {
		reporter = jaeger.NewRemoteReporter(must(jaeger.NewUDPTransport(os.Args[2], 0)))
	} else {
		reporter = jaeger.NewRemoteReporter(transport.NewHTTPTransport(os.Args[2]))
	}
	return jaeger.NewTracer(service, jaeger.NewConstSampler(true), reporter, jaeger.TracerOptions.Gen128Bit(os.Args[4] == "128"),
		jaeger.TracerOptions.Tag("zone", "north"))
}

func byVariables() {
	tracer, closer, err := must(config.FromEnv()).NewTracer()
	if err != nil {
		log.Fatal(err)
	}
	for tries := 0; ; tries++ { // a remote sampler asks first
		span := tracer.StartSpan("GET /cart", ext.SpanKindRPCServer)
		span.Finish()
		if span.Context().(jaeger.SpanContext).IsSampled() {
			break
		}
		if tries == 400 {
			log.Fatal("never sampled")
		}
		time.Sleep(25 * time.Millisecond)
	}
	closer.Close()
}

func main() {
	if len(os.Args) == 1 {
		byVariables()
		return
	}
	start := time.UnixMilli(must(strconv.ParseInt(os.Args[3], 10, 64)))
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	shop, closeShop := tracerOf("shop")
	stock, closeStock := tracerOf("stock")
	ids := map[string]string{}
	finish := func(name string, span opentracing.Span, ms int) {
		span.FinishWithOptions(opentracing.FinishOptions{FinishTime: at(ms)})
		ids[name] = fmt.Sprintf("%016x", uint64(span.Context().(jaeger.SpanContext).SpanID()))
	}

	root := shop.StartSpan("POST /checkout", opentracing.StartTime(at(0)), ext.SpanKindRPCServer)
	root.SetTag("note", "\u20ac \u00fc").SetTag("gift", true).SetTag("items", 3).SetTag("total", 19.5)
	root.SetTag("largest", int64(math.MaxInt64)).SetTag("raw", []byte{0, 255})
	reserve := shop.StartSpan("reserve", opentracing.StartTime(at(10)), opentracing.ChildOf(root.Context()), ext.SpanKindRPCClient)
	carrier := opentracing.TextMapCarrier{}
	if err := shop.Inject(reserve.Context(), opentracing.TextMap, carrier); err != nil {
		log.Fatal(err)
	}
	serve := stock.StartSpan("serve", opentracing.StartTime(at(20)), ext.RPCServerOption(must(stock.Extract(opentracing.TextMap, carrier))))
	ext.Error.Set(serve, true)
	serve.FinishWithOptions(opentracing.FinishOptions{FinishTime: at(80), LogRecords: []opentracing.LogRecord{{Timestamp: at(70),
		Fields: []otlog.Field{otlog.Event("error"), otlog.String("message", "sold out"), otlog.Int("left", 0)}}}})
	ids["serve"] = fmt.Sprintf("%016x", uint64(serve.Context().(jaeger.SpanContext).SpanID()))
	finish("reserve", reserve, 90)
	after := shop.StartSpan("notify", opentracing.StartTime(at(100)), opentracing.FollowsFrom(root.Context()))
	finish("notify", after, 110)
	finish("POST /checkout", root, 100)
	closeShop.Close()
	closeStock.Close()
	fmt.Println(string(must(json.Marshal(map[string]any{"trace": root.Context().(jaeger.SpanContext).TraceID().String(), "spans": ids}))))
}
