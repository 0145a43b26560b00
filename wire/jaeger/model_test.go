package jaeger

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/wire/thrift"
)

// batch is a batch as a client has it; it is written in each of the forms, and compared with what the Encoder makes of it. Times are in µs.
type batch struct {
	service string
	tags    []kv
	spans   []jspan
	seq     int64
	stats   []int64
}

type jspan struct {
	high, low, id, parent uint64
	name                  string
	refs                  []ref
	flags                 int32
	start, duration       int64
	tags                  []kv
	logs                  []log
	warnings              []string // proto alone
	process               *batch   // proto alone: its own
}

type ref struct {
	follows       bool
	high, low, id uint64
}

type log struct {
	at     int64
	fields []kv
}

// kv is a tag: its value a string, float64, bool, int64 or []byte.
type kv struct {
	key   string
	value any
}

// text writes a tag as the Encoder's JSON has it.
func (t kv) text() string {
	switch v := t.value.(type) {
	case string:
		return fmt.Sprintf("%s string %s", t.key, v)
	case bool:
		return fmt.Sprintf("%s bool %v", t.key, v)
	case int64:
		if v > maxSafe || v < -maxSafe {
			return fmt.Sprintf("%s int64 %d", t.key, v)
		}
		return fmt.Sprintf("%s int64 %d", t.key, v)
	case float64:
		if v-v != 0 {
			return fmt.Sprintf("%s string %v", t.key, v)
		}
		return fmt.Sprintf("%s float64 %s", t.key, appendDouble(nil, v))
	case []byte:
		return fmt.Sprintf("%s binary %s", t.key, base64.StdEncoding.EncodeToString(v))
	}
	panic("no such tag")
}

func (b *batch) thrift(compact bool) []byte {
	w := thrift.Writer{Compact: compact}
	b.write(&w)
	return w.Out
}

// message writes a call of Agent.emitBatch.
func (b *batch) message(compact bool) []byte {
	w := thrift.Writer{Compact: compact}
	w.Message(thrift.Message{Type: thrift.Oneway, Name: []byte("emitBatch"), Seq: 7})
	w.Struct()
	w.Field(1<<8 | thrift.Struct)
	b.write(&w)
	w.End()
	return w.Out
}

func (b *batch) write(w *thrift.Writer) {
	w.Struct()
	w.Field(1<<8 | thrift.Struct)
	w.Struct()
	w.Field(1<<8 | thrift.String)
	w.String(b.service)
	if b.tags != nil {
		w.Field(2<<8 | thrift.List)
		writeTags(w, b.tags)
	}
	w.End()
	w.Field(2<<8 | thrift.List)
	w.List(thrift.Struct, len(b.spans))
	for i := range b.spans {
		b.spans[i].write(w)
	}
	if b.seq > 0 {
		w.Field(3<<8 | thrift.I64)
		w.I64(b.seq)
	}
	if b.stats != nil {
		w.Field(4<<8 | thrift.Struct)
		w.Struct()
		for i, n := range b.stats {
			w.Field(thrift.Field(i+1)<<8 | thrift.I64)
			w.I64(n)
		}
		w.End()
	}
	w.End()
}

func writeTags(w *thrift.Writer, tags []kv) {
	w.List(thrift.Struct, len(tags))
	for _, t := range tags {
		w.Struct()
		w.Field(1<<8 | thrift.String)
		w.String(t.key)
		w.Field(2<<8 | thrift.I32)
		switch v := t.value.(type) {
		case string:
			w.I32(0)
			w.Field(3<<8 | thrift.String)
			w.String(v)
		case float64:
			w.I32(1)
			w.Field(4<<8 | thrift.Double)
			w.Double(v)
		case bool:
			w.I32(2)
			w.Field(5<<8 | thrift.Bool)
			w.Bool(v)
		case int64:
			w.I32(3)
			w.Field(6<<8 | thrift.I64)
			w.I64(v)
		case []byte:
			w.I32(4)
			w.Field(7<<8 | thrift.String)
			w.Bytes(v)
		}
		w.End()
	}
}

func (s *jspan) write(w *thrift.Writer) {
	w.Struct()
	for i, n := range []uint64{s.low, s.high, s.id, s.parent} {
		w.Field(thrift.Field(i+1)<<8 | thrift.I64)
		w.I64(int64(n))
	}
	w.Field(5<<8 | thrift.String)
	w.String(s.name)
	if s.refs != nil {
		w.Field(6<<8 | thrift.List)
		w.List(thrift.Struct, len(s.refs))
		for _, r := range s.refs {
			w.Struct()
			w.Field(1<<8 | thrift.I32)
			w.I32(int32(r.kind()))
			for i, n := range []uint64{r.low, r.high, r.id} {
				w.Field(thrift.Field(i+2)<<8 | thrift.I64)
				w.I64(int64(n))
			}
			w.End()
		}
	}
	w.Field(7<<8 | thrift.I32)
	w.I32(s.flags)
	w.Field(8<<8 | thrift.I64)
	w.I64(s.start)
	w.Field(9<<8 | thrift.I64)
	w.I64(s.duration)
	if s.tags != nil {
		w.Field(10<<8 | thrift.List)
		writeTags(w, s.tags)
	}
	if s.logs != nil {
		w.Field(11<<8 | thrift.List)
		w.List(thrift.Struct, len(s.logs))
		for _, l := range s.logs {
			w.Struct()
			w.Field(1<<8 | thrift.I64)
			w.I64(l.at)
			w.Field(2<<8 | thrift.List)
			writeTags(w, l.fields)
			w.End()
		}
	}
	w.End()
}

func (r ref) kind() int {
	if r.follows {
		return 1
	}
	return 0
}

// post writes a PostSpansRequest.
func (b *batch) post() []byte { return message(nil, 1, b.model()) }

func message(dst []byte, num protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, num, protowire.BytesType), body)
}

func number(dst []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), v)
}

func (b *batch) model() (out []byte) {
	for i := range b.spans {
		out = message(out, 1, b.spans[i].model())
	}
	return message(out, 2, b.processModel())
}

func (b *batch) processModel() []byte {
	out := message(nil, 1, []byte(b.service))
	for _, t := range b.tags {
		out = message(out, 2, t.model())
	}
	return out
}

func (t kv) model() []byte {
	out := message(nil, 1, []byte(t.key))
	switch v := t.value.(type) {
	case string:
		return message(out, 3, []byte(v))
	case bool:
		out = number(out, 2, 1)
		if v {
			out = number(out, 4, 1)
		}
		return out
	case int64:
		return number(number(out, 2, 2), 5, uint64(v))
	case float64:
		out = protowire.AppendTag(number(out, 2, 3), 6, protowire.Fixed64Type)
		return protowire.AppendFixed64(out, math.Float64bits(v))
	case []byte:
		return message(number(out, 2, 4), 7, v)
	}
	panic("no such tag")
}

func traceID(high, low uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, high), low)
}

func timeModel(us int64) []byte {
	return number(number(nil, 1, uint64(us/1e6)), 2, uint64(us%1e6*1000))
}

func (s *jspan) model() []byte {
	out := message(nil, 1, traceID(s.high, s.low))
	out = message(out, 2, binary.BigEndian.AppendUint64(nil, s.id))
	out = message(out, 3, []byte(s.name))
	refs := s.refs
	if s.parent != 0 {
		refs = append([]ref{{high: s.high, low: s.low, id: s.parent}}, refs...) // as Jaeger's translation has it
		if len(s.refs) > 0 && slices.ContainsFunc(s.refs, func(r ref) bool { return r.high == s.high && r.low == s.low && r.id == s.parent }) {
			refs = refs[1:]
		}
	}
	for _, r := range refs {
		body := message(message(nil, 1, traceID(r.high, r.low)), 2, binary.BigEndian.AppendUint64(nil, r.id))
		out = message(out, 4, number(body, 3, uint64(r.kind())))
	}
	out = number(out, 5, uint64(s.flags))
	out = message(message(out, 6, timeModel(s.start)), 7, timeModel(s.duration))
	for _, t := range s.tags {
		out = message(out, 8, t.model())
	}
	for _, l := range s.logs {
		body := message(nil, 1, timeModel(l.at))
		for _, f := range l.fields {
			body = message(body, 2, f.model())
		}
		out = message(out, 9, body)
	}
	if s.process != nil {
		out = message(out, 10, s.process.processModel())
	}
	for _, w := range s.warnings {
		out = message(out, 12, []byte(w))
	}
	return out
}

// lines is what must come back of a span, in no order: a line for each thing.
func (s *jspan) lines(b *batch) (out []string) {
	if s.process != nil {
		b = s.process
	}
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	service := b.service
	if service == "" {
		service = "unknown_service"
	}
	add("%q in %s, flags %d, from %d for %d", s.name, service, s.flags, s.start, max(0, s.duration))
	if s.duration < 0 {
		add("warning ends %d ns before it starts; shown with duration 0", -s.duration*1000)
	}
	for _, w := range s.warnings {
		add("warning %s", w)
	}
	for _, t := range b.tags {
		add("process %s", t.text())
	}
	told := s.parent == 0
	for _, r := range s.refs {
		told = told || r.high == s.high && r.low == s.low && r.id == s.parent
		add("%s %s %016x", []string{"CHILD_OF", "FOLLOWS_FROM"}[r.kind()], shortID(r.high, r.low), r.id)
	}
	if !told {
		add("CHILD_OF %s %016x", shortID(s.high, s.low), s.parent)
	}
	for _, t := range append(slices.Clone(s.tags), s.added()...) {
		add("tag %s", t.text())
	}
	for i, l := range s.logs {
		add("log %d at %d", i, l.at)
		for _, f := range l.fields {
			add("log %d %s", i, f.text())
		}
	}
	slices.Sort(out)
	return out
}

// added is the tags that are not sent but come back: a status says all that it says, in the names of today.
func (s *jspan) added() (tags []kv) {
	var failed, code, scope bool
	library, version := "", ""
	first := map[string]bool{}
	for _, t := range s.tags {
		failed = failed || t.key == "error" && (t.value == true || t.value == "true")
	}
	status := ""
	if failed {
		status = "ERROR"
	}
	for _, t := range s.tags {
		if first[t.key] {
			continue
		}
		first[t.key] = true
		switch t.key {
		case "otel.status_code":
			if t.value == "ERROR" {
				status, code = "ERROR", true
			}
		case "otel.scope.name", "otel.scope.version":
			scope = true
		case "otel.library.name":
			library, _ = t.value.(string)
		case "otel.library.version":
			version, _ = t.value.(string)
		}
	}
	if status == "ERROR" && !code {
		tags = append(tags, kv{"otel.status_code", "ERROR"})
	}
	if status == "ERROR" && !failed {
		tags = append(tags, kv{"error", true})
	}
	if !scope && library != "" {
		tags = append(tags, kv{"otel.scope.name", library})
		if version != "" {
			tags = append(tags, kv{"otel.scope.version", version})
		}
	}
	return tags
}

func shortID(high, low uint64) string {
	if high == 0 {
		return fmt.Sprintf("%016x", low)
	}
	return hex.EncodeToString(traceID(high, low))
}

// random returns a batch in which all that is special comes, alone and together.
func random(r *rand.Rand) *batch {
	b := &batch{service: pick(r, "shop", "ünï", ""), tags: randomTags(r, 3, "hostname", "jaeger.version", "ip", "service.name"), seq: r.Int64N(3)}
	for i := range 1 + r.IntN(4) {
		s := jspan{
			high: pick(r, 0, r.Uint64()), low: 1 + r.Uint64N(2), id: uint64(i + 1), name: pick(r, "get", ""), flags: pick[int32](r, 0, 1, 2, 3, 9),
			start: 1_700_000_000_000_000 + r.Int64N(1e9), duration: r.Int64N(2000) - 500,
			tags: randomTags(r, 9, "a", "b", "span.kind", "error", "otel.status_code", "otel.status_description", "w3c.tracestate",
				"otel.scope.name", "otel.scope.version", "otel.library.name", "otel.library.version", ""),
		}
		if r.IntN(2) == 0 {
			s.parent = r.Uint64N(2) * (100 + r.Uint64N(2))
		}
		refs := map[ref]bool{}
		for range r.IntN(4) {
			f := ref{follows: r.IntN(2) == 0, high: pick(r, s.high, 7), low: s.low, id: 100 + r.Uint64N(3)}
			if !refs[f] { // twice the same says it once
				s.refs = append(s.refs, f)
			}
			refs[f] = true
		}
		for range r.IntN(3) {
			s.logs = append(s.logs, log{s.start + r.Int64N(100), randomTags(r, 3, "event", "message", "event", "stack")})
		}
		b.spans = append(b.spans, s)
	}
	return b
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func randomTags(r *rand.Rand, most int, keys ...string) (tags []kv) {
	for range r.IntN(most + 1) {
		var value any
		switch r.IntN(8) {
		case 0:
			value = r.IntN(2) == 0
		case 1:
			value = pick(r, r.Int64(), -1, 200)
		case 2:
			value = pick(r, 0.5, r.NormFloat64())
		case 3:
			value = []byte{0, 255, byte(r.Uint32())}
		default:
			value = pick(r, "server", "client", "OK", "ERROR", "true", "text", "", "a=1,b=2", "Server")
		}
		tags = append(tags, kv{pick(r, keys...), value})
	}
	return tags
}
