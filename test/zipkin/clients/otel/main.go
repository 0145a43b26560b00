// Command otel sends the known spans with OpenTelemetry's Zipkin exporter for Go: HTTP SCRIBE CLIENT, where CLIENT is the service.
package main

import (
	"context"
	"log"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/zipkin"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	exporter, err := zipkin.New(os.Args[1] + "/api/v2/spans")
	if err != nil {
		log.Fatal(err)
	}
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter), sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", os.Args[3]))))
	tracer := provider.Tracer("known")
	ctx, root := tracer.Start(context.Background(), "get /cart", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.method", "GET")))
	_, child := tracer.Start(ctx, "get /stock", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.String("peer.service", "stock")))
	child.AddEvent("retry")
	child.SetStatus(codes.Error, "timeout")
	child.End()
	root.End()
	if err := provider.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
}
