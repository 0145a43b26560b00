// A client of Jaeger's query API as Jaeger's interface definitions have it, for tests alone.
module github.com/clewtrace/clew/test/jaegerquery/idl

go 1.26.8

require (
	github.com/bufbuild/protocompile v0.14.1
	github.com/gogo/protobuf v1.3.2
	github.com/google/gnostic-models v0.7.1
	github.com/jaegertracing/jaeger-idl v0.14.0
	go.opentelemetry.io/proto/otlp v1.11.1
	google.golang.org/genproto/googleapis/api v0.0.0-20260928230214-8a89bd6388cc
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/gogo/googleapis v1.4.1 // indirect
	github.com/kr/pretty v0.3.1 // indirect
	go.yaml.in/yaml/v3 v3.0.3 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260928230214-8a89bd6388cc // indirect
)
