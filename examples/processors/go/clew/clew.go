//go:build wasip1

// Package clew is the SDK for processors of spans: what a WebAssembly module needs that Clew loads (https://github.com/clewtrace/clew,
// docs/processors.md). It is this one file: copy it, or the folder.
//
// A processor says in an init function what it does with a span; main stays empty.
//
//	func init() {
//		clew.Process(func(s *clew.Span) {
//			if s.Name() == "GET /healthz" {
//				s.Drop()
//			}
//		})
//	}
//
//	func main() {}
//
// Build it with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o name.wasm. Spans that are not changed are never copied, and nothing is
// allocated for them. A Span, and every text that it gives out, is valid only until the function returns: strings.Clone what is to stay.
package clew

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"unsafe"
)

// Process names the function that is called with each span.
func Process(fn func(s *Span)) { onSpan = fn }

// Configure names the function that is called once, at the start, with the text that Clew's configuration has for the processor.
// If it returns an error, Clew says so and does not start.
func Configure(fn func(config string) error) { onConfig = fn }

// ProcessResource names a function that is called with each resource, before its spans. What it changes, it changes for all of them.
func ProcessResource(fn func(r *Resource)) { onResource = fn }

// Log writes a line to Clew's log.
func Log(level Level, text string) {
	hostLog(uint32(level), unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

// Level is how important a line of the log is.
type Level uint32

// The levels.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// Kind is a span's kind.
type Kind int32

// The kinds, numbered as in OTLP.
const (
	Unspecified Kind = iota
	Internal
	Server
	Client
	Producer
	Consumer
)

// Status is a span's status.
type Status int32

// The statuses, numbered as in OTLP.
const (
	Unset Status = iota
	OK
	Failed
)

// Type is the type of a value.
type Type uint8

// The types of values.
const (
	Empty Type = iota
	String
	Bool
	Int
	Double
	Array // as OTLP bytes alone
	Map   // as OTLP bytes alone
	Bytes
)

// Value is an attribute's value.
type Value struct {
	typ Type
	num uint64
	raw []byte // of String and Bytes; of Array and Map the AnyValue message
}

// StringValue returns a text as a value.
func StringValue(s string) Value { return Value{typ: String, raw: bytesOf(s)} }

// BoolValue returns a truth value as a value.
func BoolValue(b bool) Value {
	v := Value{typ: Bool}
	if b {
		v.num = 1
	}
	return v
}

// IntValue returns a whole number as a value.
func IntValue(i int64) Value { return Value{typ: Int, num: uint64(i)} }

// DoubleValue returns a number as a value.
func DoubleValue(f float64) Value { return Value{typ: Double, num: math.Float64bits(f)} }

// BytesValue returns bytes as a value.
func BytesValue(b []byte) Value { return Value{typ: Bytes, raw: b} }

// Type returns the value's type.
func (v Value) Type() Type { return v.typ }

// Bool returns a Bool, and false for all others.
func (v Value) Bool() bool { return v.typ == Bool && v.num != 0 }

// Int returns an Int, and 0 for all others.
func (v Value) Int() int64 {
	if v.typ != Int {
		return 0
	}
	return int64(v.num)
}

// Double returns a Double, and 0 for all others.
func (v Value) Double() float64 {
	if v.typ != Double {
		return 0
	}
	return math.Float64frombits(v.num)
}

// Bytes returns the bytes of a String or Bytes, or the OTLP AnyValue message of an Array or Map.
func (v Value) Bytes() []byte { return v.raw }

// Text returns a String's text, and "" for all others.
func (v Value) Text() string {
	if v.typ != String {
		return ""
	}
	return textOf(v.raw)
}

// attr is an attribute: as it lies in the message, or as it was set.
type attr struct {
	field   []byte // the whole KeyValue field in the message; nil if it was set
	key     []byte
	value   []byte // the AnyValue message
	set     Value
	deleted bool
}

// attrs is the attributes of a span or resource.
type attrs struct {
	list    []attr
	changed bool
}

// Attr returns an attribute's value, and whether there is one.
func (a *attrs) Attr(key string) (Value, bool) {
	for i := range a.list {
		if t := &a.list[i]; !t.deleted && textOf(t.key) == key {
			return t.get(), true
		}
	}
	return Value{}, false
}

// Attrs calls yield with each attribute. They may be set and deleted on the way.
func (a *attrs) Attrs() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for i := 0; i < len(a.list); i++ {
			if t := &a.list[i]; !t.deleted && !yield(textOf(t.key), t.get()) {
				return
			}
		}
	}
}

// Set sets an attribute.
func (a *attrs) Set(key string, v Value) {
	a.changed = true
	for i := range a.list {
		if t := &a.list[i]; !t.deleted && textOf(t.key) == key {
			t.field, t.set = nil, v
			return
		}
	}
	a.list = append(a.list, attr{key: bytesOf(key), set: v})
}

// SetText sets an attribute to a text.
func (a *attrs) SetText(key, text string) { a.Set(key, StringValue(text)) }

// Delete removes an attribute, and reports whether there was one.
func (a *attrs) Delete(key string) bool {
	found := false
	for i := range a.list {
		if t := &a.list[i]; !t.deleted && textOf(t.key) == key {
			t.deleted, a.changed, found = true, true, true
		}
	}
	return found
}

func (t *attr) get() Value {
	if t.field == nil {
		return t.set
	}
	return readValue(t.value)
}

// add notes an attribute that lies in a message.
func (a *attrs) add(f field) {
	t := attr{field: f.all}
	for in := f.body; len(in) > 0; {
		var sub field
		sub, in = next(in)
		switch sub.num {
		case 1:
			t.key = sub.body
		case 2:
			t.value = sub.body
		}
	}
	a.list = append(a.list, t)
}

// append appends what is left of the attributes, as fields of a number.
func (a *attrs) append(out []byte, num byte) []byte {
	for i := range a.list {
		switch t := &a.list[i]; {
		case t.deleted:
		case t.field != nil:
			out = append(out, t.field...)
		default:
			var at int
			out, at = open(out, num)
			out = appendBytes(out, 1, t.key)
			var value int
			out, value = open(out, 2)
			out = appendValue(out, t.set)
			out = shut(shut(out, value), at)
		}
	}
	return out
}

// Resource is what sent spans: a service, with the attributes that all of its spans share.
type Resource struct{ attrs }

// Span is a span. Its attributes are those of OTLP; the resource's are apart.
type Span struct {
	attrs
	raw      []byte
	read     bool // attrs and the fields that follow are read
	name     []byte
	kind     Kind
	status   Status
	message  []byte
	edited   uint8 // which of them were set
	dropped  bool
	resource *Resource
	traceID  []byte
	id       []byte
	parent   []byte
	start    uint64
	end      uint64
}

const (
	editedName = 1 << iota
	editedKind
	editedStatus
)

// Drop leaves the span out.
func (s *Span) Drop() { s.dropped = true }

// TraceID returns the 16 bytes of the trace's ID.
func (s *Span) TraceID() []byte { return s.traceID }

// ID returns the 8 bytes of the span's ID.
func (s *Span) ID() []byte { return s.id }

// Parent returns the 8 bytes of the parent's ID, or none.
func (s *Span) Parent() []byte { return s.parent }

// Start returns when the span began, in ns since 1970.
func (s *Span) Start() uint64 { return s.start }

// End returns when the span ended, in ns since 1970.
func (s *Span) End() uint64 { return s.end }

// Name returns the span's name.
func (s *Span) Name() string { return textOf(s.name) }

// SetName gives the span another name.
func (s *Span) SetName(name string) { s.name, s.edited = bytesOf(name), s.edited|editedName }

// Kind returns the span's kind.
func (s *Span) Kind() Kind { return s.kind }

// SetKind gives the span another kind.
func (s *Span) SetKind(k Kind) { s.kind, s.edited = k, s.edited|editedKind }

// Status returns the span's status, and its message.
func (s *Span) Status() (Status, string) { return s.status, textOf(s.message) }

// SetStatus gives the span another status and message.
func (s *Span) SetStatus(status Status, message string) {
	s.status, s.message, s.edited = status, bytesOf(message), s.edited|editedStatus
}

// Resource returns what sent the span. It is for reading: ProcessResource is where it can be changed.
func (s *Span) Resource() *Resource { return s.resource }

// Event is something that happened during a span.
type Event struct {
	Time uint64 // ns since 1970
	Name string
	raw  []byte
}

// Attr returns the value of an event's attribute, and whether there is one.
func (e Event) Attr(key string) (Value, bool) {
	var a attrs
	for in := e.raw; len(in) > 0; {
		var f field
		if f, in = next(in); f.num == 3 {
			a.add(f)
		}
	}
	return a.Attr(key)
}

// Events calls yield with each of the span's events.
func (s *Span) Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for in := s.raw; len(in) > 0; {
			var f field
			if f, in = next(in); f.num != 11 {
				continue
			}
			e := Event{raw: f.body}
			for in := f.body; len(in) > 0; {
				var sub field
				switch sub, in = next(in); sub.num {
				case 1:
					e.Time = sub.val
				case 2:
					e.Name = textOf(sub.body)
				}
			}
			if !yield(e) {
				return
			}
		}
	}
}

// load reads a span's fields.
func (s *Span) load(raw []byte) {
	*s = Span{attrs: attrs{list: s.list[:0]}, raw: raw, resource: s.resource}
	for in := raw; len(in) > 0; {
		var f field
		f, in = next(in)
		switch f.num {
		case 1:
			s.traceID = f.body
		case 2:
			s.id = f.body
		case 4:
			s.parent = f.body
		case 5:
			s.name = f.body
		case 6:
			s.kind = Kind(f.val)
		case 7:
			s.start = f.val
		case 8:
			s.end = f.val
		case 9:
			s.add(f)
		case 15:
			for in := f.body; len(in) > 0; {
				var sub field
				switch sub, in = next(in); sub.num {
				case 2:
					s.message = sub.body
				case 3:
					s.status = Status(sub.val)
				}
			}
		}
	}
}

// append appends a span that was changed: its fields as they are, but for those that were set.
func (s *Span) append(out []byte) []byte {
	for in := s.raw; len(in) > 0; {
		var f field
		f, in = next(in)
		switch {
		case f.num == 5 && s.edited&editedName != 0, f.num == 6 && s.edited&editedKind != 0, f.num == 15 && s.edited&editedStatus != 0:
		case f.num == 9 && s.changed:
		default:
			out = append(out, f.all...)
		}
	}
	if s.edited&editedName != 0 {
		out = appendBytes(out, 5, s.name)
	}
	if s.edited&editedKind != 0 {
		out = binary.AppendUvarint(append(out, 6<<3), uint64(s.kind))
	}
	if s.edited&editedStatus != 0 {
		var at int
		out, at = open(out, 15)
		out = appendBytes(out, 2, s.message)
		out = shut(binary.AppendUvarint(append(out, 3<<3), uint64(s.status)), at)
	}
	if s.changed {
		out = s.attrs.append(out, 9)
	}
	return out
}

var (
	onSpan     func(*Span)
	onResource func(*Resource)
	onConfig   func(string) error

	input    []byte // what Clew writes
	span     Span   // used again and again
	resource Resource
	rewrite  writer
)

// writer writes the batch anew, from the first change on. Until then there is nothing of it but where the change is.
type writer struct {
	in, out []byte
	copied  int // of in, so much is in out
	res     message
	scope   message
}

// message is a ResourceSpans or ScopeSpans that is being read: where it lies in the input, and, once something in it changed, in the output.
type message struct {
	at, body int
	length   int // where its length goes in out; 0: it is not begun there
}

// offset returns where a part of the input begins in it.
func (w *writer) offset(part []byte) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(part))) - uintptr(unsafe.Pointer(unsafe.SliceData(w.in))))
}

// copyTo copies the input up to at.
func (w *writer) copyTo(at int) {
	w.out = append(w.out, w.in[w.copied:at]...)
	w.copied = at
}

// begin begins the messages around a change in the output.
func (w *writer) begin(m *message, num byte) {
	if m.length == 0 {
		w.copyTo(m.at)
		w.out, m.length = open(w.out, num)
		w.copied = m.body
	}
}

// change makes place for what comes instead of the input's from to to.
func (w *writer) change(from, to int, inScope bool) {
	w.begin(&w.res, 1)
	if inScope {
		w.begin(&w.scope, 2)
	}
	w.copyTo(from)
	w.copied = to
}

// finish ends a message of which end is the end in the input.
func (w *writer) finish(m *message, end int) {
	if m.length > 0 {
		w.copyTo(end)
		w.out = shut(w.out, m.length)
		m.length = 0
	}
}

func (w *writer) traces(in []byte) {
	w.in, w.out, w.copied = in, w.out[:0], 0
	for left := in; len(left) > 0; {
		var f field
		if f, left = next(left); f.num == 1 {
			w.resourceSpans(f)
		}
	}
	if w.copied > 0 {
		w.copyTo(len(in))
	}
}

func (w *writer) resourceSpans(f field) {
	w.res = message{at: w.offset(f.all), body: w.offset(f.body)}
	if len(f.body) == 0 {
		return
	}
	resource = Resource{attrs{list: resource.list[:0]}}
	for left := f.body; len(left) > 0; {
		var sub field
		if sub, left = next(left); sub.num == 1 {
			w.resource(sub)
		}
	}
	for left := f.body; len(left) > 0; {
		var sub field
		switch sub, left = next(left); sub.num {
		case 1:
			if resource.changed {
				w.change(w.offset(sub.all), w.offset(sub.all)+len(sub.all), false)
				w.changedResource(sub)
			}
		case 2:
			w.scopeSpans(sub)
		}
	}
	w.finish(&w.res, w.res.body+len(f.body))
}

// resource reads a Resource, and has it processed.
func (w *writer) resource(f field) {
	for left := f.body; len(left) > 0; {
		var sub field
		if sub, left = next(left); sub.num == 1 {
			resource.add(sub)
		}
	}
	if onResource != nil {
		onResource(&resource)
	}
}

func (w *writer) changedResource(f field) {
	var at int
	w.out, at = open(w.out, 1)
	for left := f.body; len(left) > 0; {
		var sub field
		if sub, left = next(left); sub.num != 1 {
			w.out = append(w.out, sub.all...)
		}
	}
	w.out = shut(resource.append(w.out, 1), at)
}

func (w *writer) scopeSpans(f field) {
	if len(f.body) == 0 {
		return
	}
	w.scope = message{at: w.offset(f.all), body: w.offset(f.body)}
	for left := f.body; len(left) > 0; {
		var sub field
		if sub, left = next(left); sub.num != 2 {
			continue
		}
		span.resource = &resource
		span.load(sub.body)
		onSpan(&span)
		if !span.dropped && span.edited == 0 && !span.changed {
			continue
		}
		from := w.offset(sub.all)
		w.change(from, from+len(sub.all), true)
		if !span.dropped {
			var at int
			w.out, at = open(w.out, 2)
			w.out = shut(span.append(w.out), at)
		}
	}
	w.finish(&w.scope, w.scope.body+len(f.body))
}

// What follows is the interface between Clew and the module, version 1.

//go:wasmimport clew log
func hostLog(level uint32, text unsafe.Pointer, size uint32)

//go:wasmexport clew_abi_1
func abi() {}

// alloc returns where Clew may write size bytes.
//
//go:wasmexport clew_alloc
func alloc(size uint32) unsafe.Pointer {
	if uint32(cap(input)) < max(size, 1) {
		input = make([]byte, max(size, 4<<10)*5/4)
	}
	input = input[:size]
	return unsafe.Pointer(unsafe.SliceData(input))
}

// configure is called once, with the configuration; not 0 says that it is wrong.
//
//go:wasmexport clew_init
func configure(size uint32) uint32 {
	err := errors.New("clew.Process was not called in an init function")
	if onSpan != nil {
		err = nil
		if onConfig != nil {
			err = onConfig(string(input[:size]))
		}
	}
	if err != nil {
		Log(Error, err.Error())
		return 1
	}
	return 0
}

// process processes a batch. 0 says that it stays as it is; else the result is where the new one lies, and in the lower half its size.
//
//go:wasmexport clew_process
func process(size uint32) uint64 {
	rewrite.traces(input[:size])
	if rewrite.copied == 0 {
		return 0
	}
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(rewrite.out))))<<32 | uint64(len(rewrite.out))
}

// What follows is protobuf.

// field is a field of a message: all of it, what is in it, or the number that it is.
type field struct {
	num       uint64
	all, body []byte
	val       uint64
}

// next reads a field. Clew hands over only what it has checked; what is no field is the rest, with number 0.
func next(in []byte) (field, []byte) {
	var f field
	tag, n := varint(in)
	f.num = tag >> 3
	rest := in[n:]
	switch tag & 7 {
	case 0:
		var m int
		if f.val, m = varint(rest); m == 0 {
			n = 0
		}
		n += m
	case 1:
		if len(rest) < 8 {
			return field{all: in}, nil
		}
		f.val = binary.LittleEndian.Uint64(rest)
		n += 8
	case 5:
		if len(rest) < 4 {
			return field{all: in}, nil
		}
		f.val = uint64(binary.LittleEndian.Uint32(rest))
		n += 4
	case 2:
		size, m := varint(rest)
		if m == 0 || size > uint64(len(rest)-m) {
			return field{all: in}, nil
		}
		f.body = rest[m : m+int(size) : m+int(size)]
		n += m + int(size)
	default:
		n = 0
	}
	if n == 0 {
		return field{all: in}, nil
	}
	f.all = in[:n:n]
	return f, in[n:]
}

// varint reads a number, and returns how many bytes it has; 0: it is none.
func varint(in []byte) (uint64, int) {
	if len(in) > 0 && in[0] < 0x80 {
		return uint64(in[0]), 1
	}
	v, n := binary.Uvarint(in)
	return v, max(n, 0)
}

func readValue(raw []byte) Value {
	var v Value
	for in := raw; len(in) > 0; {
		var f field
		switch f, in = next(in); f.num {
		case 1:
			v = Value{typ: String, raw: f.body}
		case 2:
			v = Value{typ: Bool, num: f.val}
		case 3:
			v = Value{typ: Int, num: f.val}
		case 4:
			v = Value{typ: Double, num: f.val}
		case 5:
			v = Value{typ: Array, raw: raw}
		case 6:
			v = Value{typ: Map, raw: raw}
		case 7:
			v = Value{typ: Bytes, raw: f.body}
		}
	}
	return v
}

func appendValue(out []byte, v Value) []byte {
	switch v.typ {
	case String:
		return appendBytes(out, 1, v.raw)
	case Bool:
		return append(out, 2<<3, byte(v.num))
	case Int:
		return binary.AppendUvarint(append(out, 3<<3), v.num)
	case Double:
		return binary.LittleEndian.AppendUint64(append(out, 4<<3|1), v.num)
	case Bytes:
		return appendBytes(out, 7, v.raw)
	}
	return append(out, v.raw...)
}

func appendBytes(out []byte, num byte, b []byte) []byte {
	return append(binary.AppendUvarint(append(out, num<<3|2), uint64(len(b))), b...)
}

// open begins a message; shut ends it, and writes its length to the 5 bytes that open left for it at at.
func open(out []byte, num byte) (_ []byte, at int) {
	return append(out, num<<3|2, 0, 0, 0, 0, 0), len(out) + 1
}

func shut(out []byte, at int) []byte {
	n := uint64(len(out) - at - 5)
	size := binary.PutUvarint(out[at:], n)
	copy(out[at+size:], out[at+5:])
	return out[:len(out)-5+size]
}

func textOf(b []byte) string  { return unsafe.String(unsafe.SliceData(b), len(b)) }
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
