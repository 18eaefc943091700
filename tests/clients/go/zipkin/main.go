// An order by zipkin-go:  zipkin json|proto3|grpc URL START_MS shared|own
// grpc: zipkin-go's messages by grpc-go, for which zipkin-go has no reporter. Prints {"trace": id, "spans": {name: id}}.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"
	"github.com/openzipkin/zipkin-go/reporter"
	"github.com/openzipkin/zipkin-go/reporter/http"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// Reports all spans at once when it is closed.
type grpcReporter struct {
	address string
	spans   []*model.SpanModel
}

func (r *grpcReporter) Send(span model.SpanModel) { r.spans = append(r.spans, &span) }

func (r *grpcReporter) Close() error {
	var list zipkin_proto3.ListOfSpans
	if err := proto.Unmarshal(must(zipkin_proto3.SpanSerializer{}.Serialize(r.spans)), &list); err != nil {
		return err
	}
	connection := must(grpc.NewClient(r.address, grpc.WithTransportCredentials(insecure.NewCredentials())))
	defer connection.Close()
	within, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return connection.Invoke(within, "/zipkin.proto3.SpanService/Report", &list, &emptypb.Empty{})
}

func reporterTo(where string) reporter.Reporter {
	switch os.Args[1] {
	case "grpc":
		return &grpcReporter{address: must(url.Parse(where)).Host}
	case "proto3":
		return http.NewReporter(where, http.Serializer(zipkin_proto3.SpanSerializer{}))
	default:
		return http.NewReporter(where)
	}
}

func main() {
	reporter := reporterTo(os.Args[2])
	tracerOf := func(service, address string) *zipkin.Tracer {
		return must(zipkin.NewTracer(reporter, zipkin.WithLocalEndpoint(must(zipkin.NewEndpoint(service, address))),
			zipkin.WithSharedSpans(os.Args[4] == "shared"), zipkin.WithTraceID128Bit(true), zipkin.WithTags(map[string]string{"zone": "north"})))
	}
	shop, stock := tracerOf("shop", "10.0.0.1:80"), tracerOf("stock", "[2001:db8::2]:8080")
	ids := map[string]string{}
	start := time.UnixMilli(must(strconv.ParseInt(os.Args[3], 10, 64)))
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	from := func(ms int) zipkin.SpanOption { return zipkin.StartTime(at(ms)) }
	finish := func(name string, span zipkin.Span, ms int) {
		span.FinishedWithDuration(time.Duration(ms) * time.Millisecond)
		ids[name] = span.Context().ID.String()
	}

	root := shop.StartSpan("post /checkout", from(0), zipkin.Kind(model.Server),
		zipkin.RemoteEndpoint(must(zipkin.NewEndpoint("", "192.0.2.9:50000"))))
	root.Tag("note", "\u20ac \u00fc")
	root.Annotate(at(5), "validated")
	reserve := shop.StartSpan("reserve", from(10), zipkin.Kind(model.Client), zipkin.Parent(root.Context()))
	serve := stock.StartSpan("serve", from(20), zipkin.Kind(model.Server), zipkin.Parent(reserve.Context()))
	zipkin.TagError.Set(serve, "sold out")
	finish("serve", serve, 60)
	finish("reserve", reserve, 80)
	send := shop.StartSpan("send", from(91), zipkin.Kind(model.Producer), zipkin.Parent(root.Context()),
		zipkin.RemoteEndpoint(must(zipkin.NewEndpoint("kafka", "10.0.0.9:9092"))))
	finish("send", send, 1)
	finish("render", shop.StartSpan("render", from(93), zipkin.Parent(root.Context())), 4)
	finish("post /checkout", root, 100)
	if err := reporter.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(must(json.Marshal(map[string]any{"trace": root.Context().TraceID.String(), "spans": ids}))))
}
