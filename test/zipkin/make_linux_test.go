package zipkin_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/openzipkin/zipkin-go/model"

	"github.com/clewtrace/clew/test/zipkin/v1span"
)

// maker makes spans at random, the same at each run but for the time.
type maker struct {
	*rand.Rand
	base int64 // µs: each trace has a second of its own from here on
	n    int64 // traces made
}

func newMaker(seed uint64, base time.Time) *maker {
	return &maker{Rand: rand.New(rand.NewPCG(seed, 1)), base: base.UnixMicro()}
}

func (m *maker) one(of ...string) string { return of[m.IntN(len(of))] }

func (m *maker) chance(n int) bool { return m.IntN(n) == 0 }

// next begins a trace, and returns its ID and its time.
func (m *maker) next() (id string, at int64) {
	m.n++
	id = fmt.Sprintf("%016x", m.Uint64()|1)
	if m.chance(2) {
		id = fmt.Sprintf("%016x%s", m.Uint64()|1, id)
	}
	return id, m.base + m.n*1_000_000
}

func (m *maker) endpoint(services ...string) *v1span.Endpoint {
	e := &v1span.Endpoint{Service: m.one(services...)}
	if m.chance(2) {
		e.IPv4 = fmt.Sprintf("10.0.0.%d", 1+m.IntN(3))
	}
	if m.chance(4) {
		e.IPv6 = fmt.Sprintf("2001:db8::%d", 1+m.IntN(3))
	}
	if m.chance(2) {
		e.Port = uint16(8000 + m.IntN(3))
	}
	return e
}

// v1 makes a span of v1 from whatever annotations: the rules by which it becomes spans of v2 must come out the same for all of them.
// Keys that begin with typed. are of values that Zipkin's server drops.
func (m *maker) v1(services ...string) v1span.Span {
	id, at := m.next()
	s := v1span.Span{TraceID: id, ID: fmt.Sprintf("%016x", m.Uint64()|1), Name: m.one("get", "post /x", "")}
	if m.chance(2) {
		s.ParentID = fmt.Sprintf("%016x", m.Uint64()|1)
	}
	if !m.chance(3) {
		s.Timestamp = at
	}
	if !m.chance(3) {
		s.Duration = int64(1 + m.IntN(9))
	}
	s.Debug = m.chance(5)
	for range m.IntN(7) {
		a := v1span.Annotation{Timestamp: at + int64(m.IntN(10)), Value: m.one("cs", "cr", "sr", "ss", "ms", "mr", "ws", "wr", "cs", "sr", "foo", "bar")}
		if !m.chance(8) {
			a.Endpoint = m.endpoint(services...)
		}
		s.Annotations = append(s.Annotations, a)
	}
	for range m.IntN(5) {
		s.Binary = append(s.Binary, m.binary(services))
	}
	placed := slices.ContainsFunc(s.Annotations, func(a v1span.Annotation) bool { return a.Endpoint != nil }) ||
		slices.ContainsFunc(s.Binary, func(b v1span.Binary) bool { _, text := b.Value.(string); return text && b.Endpoint != nil })
	for i := range s.Binary {
		if strings.HasPrefix(s.Binary[i].Key, "typed.") && !placed { // Clew would know the service by it, and Zipkin's server not
			s.Binary[i].Endpoint = nil
		}
	}
	return s
}

func (m *maker) binary(services []string) v1span.Binary {
	b := v1span.Binary{Key: m.one("lc", "http.path", "error", "ca", "sa", "ma", "typed.i32", "typed.double", "typed.bool", "typed.i16")}
	if !m.chance(8) {
		b.Endpoint = m.endpoint(services...)
	}
	switch b.Key {
	case "ca", "sa", "ma":
		b.Value = true
	case "typed.i32":
		b.Value, b.Type = int32(m.IntN(500)), "I32"
	case "typed.i16":
		b.Value, b.Type = int16(-m.IntN(500)), "I16"
	case "typed.double":
		b.Value, b.Type = m.Float64(), "DOUBLE"
	case "typed.bool":
		b.Value = m.chance(2)
	default:
		b.Value = m.one("", "x", "y z")
	}
	return b
}

// trace makes a trace of v2: a tree of calls whose sides are spans of their own, or share one.
func (m *maker) trace() []*model.SpanModel {
	hex, at := m.next()
	id, err := model.TraceIDFromHex(hex)
	if err != nil { // it is a number
		panic(err)
	}
	t := &tree{m, id, nil}
	root := t.span(nil, m.one(services...), at, 900_000)
	root.Kind = model.Kind(m.one("SERVER", "", "CONSUMER"))
	t.calls(root, 3)
	return t.spans
}

var services = []string{"front", "cart", "stock", "mail"}

// tree is a trace that is being made.
type tree struct {
	*maker
	id    model.TraceID
	spans []*model.SpanModel
}

func (t *tree) span(parent *model.SpanModel, service string, at, duration int64) *model.SpanModel {
	s := &model.SpanModel{
		SpanContext: model.SpanContext{TraceID: t.id, ID: model.ID(t.Uint64() | 1)},
		Name:        t.one("get", "post", "query") + " " + service, Timestamp: time.UnixMicro(at), Duration: time.Duration(duration) * time.Microsecond,
		LocalEndpoint: &model.Endpoint{ServiceName: service}, Tags: map[string]string{},
	}
	if parent != nil {
		p := parent.ID
		s.ParentID = &p
	}
	if t.chance(2) {
		s.LocalEndpoint.IPv4 = net.IPv4(10, 0, 0, byte(1+t.IntN(4))).To4() // in 16 bytes Zipkin's server takes it for one of IPv6
	}
	if t.chance(3) {
		s.Tags["http.method"] = t.one("GET", "POST")
	}
	if t.chance(3) {
		s.Tags["site"] = t.one("eu", "us", "asia")
	}
	if t.chance(6) {
		s.Tags["error"] = t.one("", "true", "timeout")
	}
	for range t.IntN(3) {
		s.Annotations = append(s.Annotations, model.Annotation{Timestamp: time.UnixMicro(at + int64(t.IntN(9))), Value: t.one("retry", "cache miss", "flush")})
	}
	s.Debug = t.chance(9)
	t.spans = append(t.spans, s)
	return s
}

// calls makes what a span calls.
func (t *tree) calls(from *model.SpanModel, depth int) {
	if depth == 0 {
		return
	}
	at, duration := from.Timestamp.UnixMicro(), from.Duration.Microseconds()
	for i := range int64(t.IntN(4)) {
		c := t.span(from, from.LocalEndpoint.ServiceName, at+(i+1)*duration/8, duration/8)
		to := t.one(services...)
		switch t.IntN(7) {
		case 0: // within the service
			t.calls(c, depth-1)
		case 1: // of what is not instrumented
			c.Kind = model.Client
			c.RemoteEndpoint = &model.Endpoint{ServiceName: t.one("mysql", "redis"), Port: 3306}
		case 2: // a message
			c.Kind = model.Producer
			c.RemoteEndpoint = &model.Endpoint{ServiceName: "kafka"}
			s := t.span(c, to, at+(i+1)*duration/8+1, duration/9)
			s.Kind, s.RemoteEndpoint = model.Consumer, &model.Endpoint{ServiceName: "kafka"}
			t.calls(s, depth-1)
		case 3, 4: // a call whose server has the client's span
			c.Kind = model.Client
			s := t.span(from, to, at+(i+1)*duration/8+1, duration/9)
			s.ID, s.Kind, s.Shared = c.ID, model.Server, true
			t.calls(s, depth-1)
		default: // a call whose server has its own
			c.Kind = model.Client
			if t.chance(2) {
				c.RemoteEndpoint = &model.Endpoint{ServiceName: to}
			}
			s := t.span(c, to, at+(i+1)*duration/8+1, duration/9)
			s.Kind = model.Server
			t.calls(s, depth-1)
		}
	}
}
