// The cart's trace by OpenTelemetry's SDK for Go:  otel PROTOCOL URL START_MS
// PROTOCOL: grpc, http/protobuf, each also with +gzip; zipkin. Prints {"trace": id, "spans": {name: id}}. With the URL `env` it sends
// to where variables say.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/zipkin"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func exporter(ctx context.Context, protocol, endpoint string) sdk.SpanExporter {
	kind, compression, _ := strings.Cut(protocol, "+")
	if endpoint == "env" {
		if kind == "grpc" {
			return must(otlptracegrpc.New(ctx))
		}
		return must(otlptracehttp.New(ctx))
	}
	switch kind {
	case "grpc":
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(must(url.Parse(endpoint)).Host), otlptracegrpc.WithInsecure()}
		if compression != "" {
			options = append(options, otlptracegrpc.WithCompressor(compression))
		}
		return must(otlptracegrpc.New(ctx, options...))
	case "http/protobuf":
		options := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(endpoint)}
		if compression == "gzip" {
			options = append(options, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
		}
		return must(otlptracehttp.New(ctx, options...))
	case "zipkin":
		return must(zipkin.New(endpoint))
	}
	log.Fatalf("no such protocol: %s", protocol)
	return nil
}

type client struct {
	start time.Time
	spans map[string]string
}

func (c *client) at(ms int) time.Time {
	return c.start.Add(time.Duration(ms) * time.Millisecond)
}

func (c *client) span(t trace.Tracer, parent trace.Span, name string, kind trace.SpanKind, from, to int,
	fill func(trace.Span), options ...trace.SpanStartOption) trace.Span {
	ctx := context.Background()
	if parent != nil {
		ctx = trace.ContextWithSpan(ctx, parent)
	}
	_, span := t.Start(ctx, name, append(options, trace.WithSpanKind(kind), trace.WithTimestamp(c.at(from)))...)
	if fill != nil {
		fill(span)
	}
	span.End(trace.WithTimestamp(c.at(to)))
	c.spans[name] = span.SpanContext().SpanID().String()
	return span
}

func main() {
	ctx := context.Background()
	startMs := must(strconv.ParseInt(os.Args[3], 10, 64))
	c := client{start: time.UnixMilli(startMs), spans: map[string]string{}}
	provider := func(service string) *sdk.TracerProvider {
		return sdk.NewTracerProvider(sdk.WithBatcher(exporter(ctx, os.Args[1], os.Args[2])),
			sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", service), attribute.String("service.version", "1.2.3"),
				attribute.String("zone", "north"), attribute.Int("replicas", 3))))
	}
	shopProvider, mailProvider := provider("shop"), provider("mail")
	shop := shopProvider.Tracer("cart.test", trace.WithInstrumentationVersion("4.5.6"))
	mail := mailProvider.Tracer("mail.test")

	root := c.span(shop, nil, "GET /cart", trace.SpanKindServer, 0, 250, func(s trace.Span) {
		s.SetAttributes(attribute.String("http.request.method", "GET"), attribute.String("note", "\u20ac \u00fc \u6f22"),
			attribute.Bool("cached", true), attribute.Int("rows", 42), attribute.Int("negative", -7), attribute.Float64("ratio", 0.25),
			attribute.StringSlice("names", []string{"a", "b"}), attribute.IntSlice("sizes", []int{1, 2}),
			attribute.BoolSlice("flags", []bool{true, false}), attribute.Int64("largest", math.MaxInt64))
		s.AddEvent("cache miss", trace.WithTimestamp(c.at(5)),
			trace.WithAttributes(attribute.String("key", "k1"), attribute.Int("attempts", 2)))
	})
	c.span(shop, root, "load", trace.SpanKindClient, 10, 60, func(s trace.Span) {
		s.RecordError(errors.New("timed out"), trace.WithTimestamp(c.at(59)))
		s.SetStatus(codes.Error, "timed out")
	}, trace.WithAttributes(attribute.String("db.system.name", "postgresql"), attribute.String("server.address", "db")))
	orders := trace.WithAttributes(attribute.String("messaging.system", "kafka"), attribute.String("messaging.destination.name", "orders"))
	publish := c.span(shop, root, "publish", trace.SpanKindProducer, 70, 75, nil, orders)
	deliver := c.span(mail, publish, "deliver", trace.SpanKindConsumer, 100, 200, nil, orders, trace.WithLinks(
		trace.Link{SpanContext: root.SpanContext(), Attributes: []attribute.KeyValue{attribute.String("reason", "batch")}}))
	c.span(mail, deliver, "render", trace.SpanKindInternal, 120, 150, func(s trace.Span) { s.SetStatus(codes.Ok, "") })

	for _, p := range []*sdk.TracerProvider{shopProvider, mailProvider} {
		if err := p.Shutdown(ctx); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(string(must(json.Marshal(map[string]any{"trace": root.SpanContext().TraceID().String(), "spans": c.spans}))))
}
