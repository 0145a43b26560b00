// Package zipkin turns Zipkin v2 JSON into spans and back.
//
// Source: Zipkin's API definition (zipkin2-api.yaml) and OpenTelemetry's "Zipkin" transformation page. What
// OpenTelemetry's model has no place for becomes an attribute with one of the names below, and is turned back when spans are written.
package zipkin

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
	attrScopeName   = "otel.scope.name"
	attrScopeVer    = "otel.scope.version"
)

// span is one span of Zipkin's v2 JSON.
type span struct {
	TraceID     string            `json:"traceId"`
	ParentID    string            `json:"parentId,omitempty"`
	ID          string            `json:"id"`
	Kind        string            `json:"kind,omitempty"`
	Name        string            `json:"name,omitempty"`
	Timestamp   uint64            `json:"timestamp,omitempty"` // µs
	Duration    uint64            `json:"duration,omitempty"`  // µs
	Local       *endpoint         `json:"localEndpoint,omitempty"`
	Remote      *endpoint         `json:"remoteEndpoint,omitempty"`
	Annotations []annotation      `json:"annotations,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Debug       bool              `json:"debug,omitempty"`
	Shared      bool              `json:"shared,omitempty"`
}

type endpoint struct {
	Service string `json:"serviceName,omitempty"`
	IPv4    string `json:"ipv4,omitempty"`
	IPv6    string `json:"ipv6,omitempty"`
	Port    int    `json:"port,omitempty"`
}

type annotation struct {
	Timestamp uint64 `json:"timestamp"` // µs
	Value     string `json:"value"`
}
