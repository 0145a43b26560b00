package testkit

import (
	"math"

	"github.com/clewtrace/clew/trace"
)

// SampleTime is when the sample begins, Unix ns: 2025-11-23T08:10:09.000000123Z.
const SampleTime = 1763885409000000123

// Sample returns one trace with everything that a trace can have: values of all types, events, links, all statuses, scopes, trace
// state, dropped counts, a parent that never came, durations of zero and below, an ID that a client and a server share, equal
// starts, and names with slashes and beyond ASCII. It is the same at each call.
func Sample() []trace.Span {
	text := func(k, v string) trace.Attr { return trace.Attr{Key: k, Value: trace.String(v)} }
	shop := &trace.Resource{
		Attrs:   []trace.Attr{text("service.name", "shop/web"), text("host.name", "h1"), {Key: "process.pid", Value: trace.Int(4711)}},
		Dropped: 1, SchemaURL: "https://opentelemetry.io/schemas/1.27.0",
	}
	stock := &trace.Resource{Attrs: []trace.Attr{text("service.name", "stock"), text("host.name", "h2")}}
	nameless := &trace.Resource{}
	lib := &trace.Scope{Name: "shoplib", Version: "1.2.0", Attrs: []trace.Attr{text("scope.attr", "x")}, Dropped: 2, SchemaURL: "https://scope"}
	none := &trace.Scope{}
	id := trace.ID{0x5b, 0x8e, 0xff, 0xf7, 0x98, 0x03, 0x81, 0x03, 0xd2, 0x69, 0xb6, 0x33, 0x81, 0x3f, 0xc6, 0x0c}
	span := func(n byte) trace.SpanID { return trace.SpanID{0xee, 7: n} }
	const ms = 1_000_000
	const start = uint64(SampleTime)
	return []trace.Span{
		{
			TraceID: id, ID: span(1), State: "vendor=a,other=b", Flags: 0x303, Name: "GET /warenkörbe/{id}", Kind: trace.KindServer,
			Start: start, End: start + 100*ms, Dropped: 3, DroppedEvents: 4, DroppedLinks: 5, Status: trace.StatusOK, Resource: shop, Scope: lib,
			Attrs: []trace.Attr{
				text("http.route", "/warenkörbe/{id}"), text("empty", ""), text("html", "<b>&\"\\\n"),
				{Key: "yes", Value: trace.Bool(true)},
				{Key: "no", Value: trace.Bool(false)},
				{Key: "http.status_code", Value: trace.Int(200)},
				{Key: "big", Value: trace.Int(math.MaxInt64)},
				{Key: "small", Value: trace.Int(-1 << 53)},
				{Key: "safe", Value: trace.Int(1<<53 - 1)},
				{Key: "ratio", Value: trace.Double(0.1)},
				{Key: "large", Value: trace.Double(2_500_000)},
				{Key: "nan", Value: trace.Double(math.NaN())},
				{Key: "inf", Value: trace.Double(math.Inf(-1))},
				{Key: "blob", Value: trace.Bytes([]byte{0, 0, 48, 57, 255})},
				{Key: "nothing", Value: trace.Value{}},
				{Key: "list", Value: trace.Array(trace.String("a"), trace.Int(1), trace.Bool(true), trace.Value{}, trace.Double(1.5))},
				{Key: "map", Value: trace.Map(text("k", "v"), trace.Attr{Key: "inner", Value: trace.Map(trace.Attr{Key: "b", Value: trace.Bytes([]byte{1})})})},
				text("broken", "caf\xe9"), text("http.route", "twice"),
			},
			Events: []trace.Event{
				{Time: start + 5*ms, Name: "cache miss"},
				{Time: start + 6*ms, Name: "exception", Dropped: 1, Attrs: []trace.Attr{text("exception.type", "IOError"), {Key: "retry", Value: trace.Int(2)}}},
				{Time: start + 7*ms, Name: "named", Attrs: []trace.Attr{text("event", "its own")}},
				{Attrs: []trace.Attr{text("no", "name, no time")}},
			},
			Links: []trace.Link{{
				TraceID: trace.ID{15: 0xff}, SpanID: trace.SpanID{7: 0xff}, State: "l=1", Flags: 1, Dropped: 6, Attrs: []trace.Attr{text("why", "batch")},
			}, {TraceID: id, SpanID: span(9), Attrs: []trace.Attr{text("opentracing.ref_type", "child_of")}}},
		},
		{
			TraceID: id, ID: span(2), Parent: span(1), Flags: 1, Name: "reserve", Kind: trace.KindClient, Start: start + 10*ms, End: start + 60*ms,
			Status: trace.StatusError, StatusMessage: "no stock", Resource: shop, Scope: lib,
			Attrs: []trace.Attr{text("peer.service", "stock"), text("network.peer.address", "10.0.0.7"), {Key: "network.peer.port", Value: trace.Int(8080)}},
		},
		{ // the server half of the call above, with the same ID
			TraceID: id, ID: span(2), Parent: span(1), Name: "reserve", Kind: trace.KindServer, Start: start + 12*ms, End: start + 58*ms,
			Status: trace.StatusError, Resource: stock, Scope: none, Attrs: []trace.Attr{text("error", "true"), text("network.local.address", "::1")},
		},
		{TraceID: id, ID: span(3), Parent: span(2), Name: "SELECT", Kind: trace.KindInternal, Start: start + 20*ms, End: start + 20*ms, Resource: stock, Scope: none},
		{
			TraceID: id, ID: span(4), Parent: span(1), Name: "publish", Kind: trace.KindProducer, Start: start + 70*ms, End: start + 71*ms, Resource: shop, Scope: lib,
			Links: []trace.Link{{TraceID: id, SpanID: span(1)}},
		},
		{ // its parent never came, and it ends before it starts
			TraceID: id, ID: span(5), Parent: span(0x77), Name: "consume", Kind: trace.KindConsumer, Start: start + 90*ms, End: start + 89*ms, Resource: nameless, Scope: none,
		},
		{TraceID: id, ID: span(6), Parent: span(6), Name: "", Start: start + 90*ms, End: start + 90*ms + 600, Resource: stock, Scope: none},
	}
}
