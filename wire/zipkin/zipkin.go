// Package zipkin turns Zipkin's formats into spans, and spans into them.
//
// Sources: Zipkin's API definitions (zipkin2-api.yaml, zipkin-api.yaml, zipkin.proto, zipkinCore.thrift), its server, whose reading of v1
// is followed here, and OpenTelemetry's "Zipkin" transformation page. What OpenTelemetry's model has no place for becomes an attribute with
// one of the names below, and is turned back when spans are written.
package zipkin

// Format is a form in which a list of spans comes.
type Format uint8

// The formats.
const (
	JSONV2 Format = iota
	JSONV1
	Proto3 // a ListOfSpans of zipkin.proto3
	Thrift // v1, in Thrift's binary protocol
)

// String returns the format's name as it is in Zipkin's answers.
func (f Format) String() string { return [...]string{"JSON_V2", "JSON_V1", "PROTO3", "THRIFT"}[f] }

// coding returns what the format is written in, as Zipkin's answers name it.
func (f Format) coding() string { return [...]string{"json", "json", "proto3", "TBinary"}[f] }

// The attributes that stand for what only Zipkin has.
const (
	attrService     = "service.name"
	attrPeer        = "peer.service"
	attrLocalIPv4   = "network.local.address"
	attrLocalIPv6   = "network.local.ipv6"
	attrLocalPort   = "network.local.port"
	attrPeerIPv4    = "network.peer.address"
	attrPeerIPv6    = "network.peer.ipv6"
	attrPeerPort    = "network.peer.port"
	attrDebug       = "zipkin.debug"
	attrShared      = "zipkin.shared"
	attrNoTimestamp = "zipkin.no_timestamp" // the span's start is when it arrived
	attrError       = "error"
	attrStatus      = "otel.status_code"
	attrStatusText  = "otel.status_description"
	attrScopeName   = "otel.scope.name"
	attrScopeVer    = "otel.scope.version"
)
