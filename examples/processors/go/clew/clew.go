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

// attr is an attribute: where it lies in the message, or what it was set to.
type attr struct {
	lo, hi           uint32 // the whole field
	keyLo, keyHi     uint32
	valueLo, valueHi uint32 // the AnyValue message
	set              int32  // index into attrs.sets, from 1 on; 0: as it lies; -1: deleted
}

// set is an attribute that was set.
type set struct {
	key   string
	value Value
}

// attrs is the attributes of a span or resource.
type attrs struct {
	raw     []byte
	list    []attr
	sets    []set
	changed bool
}

func (a *attrs) reset(raw []byte) {
	a.raw, a.list, a.sets, a.changed = raw, a.list[:0], a.sets[:0], false
}

func (a *attrs) key(t *attr) string {
	if t.set > 0 {
		return a.sets[t.set-1].key
	}
	return textOf(a.raw[t.keyLo:t.keyHi])
}

func (a *attrs) value(t *attr) Value {
	if t.set > 0 {
		return a.sets[t.set-1].value
	}
	return readValue(a.raw[t.valueLo:t.valueHi])
}

func (a *attrs) find(key string) *attr {
	for i := range a.list {
		t := &a.list[i]
		if t.set == 0 {
			if int(t.keyHi-t.keyLo) == len(key) && textOf(a.raw[t.keyLo:t.keyHi]) == key {
				return t
			}
		} else if t.set > 0 && a.sets[t.set-1].key == key {
			return t
		}
	}
	return nil
}

// Attr returns an attribute's value, and whether there is one.
func (a *attrs) Attr(key string) (Value, bool) {
	t := a.find(key)
	if t == nil {
		return Value{}, false
	}
	return a.value(t), true
}

// Attrs calls yield with each attribute. They may be set and deleted on the way.
func (a *attrs) Attrs() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for i := 0; i < len(a.list); i++ {
			if t := &a.list[i]; t.set >= 0 && !yield(a.key(t), a.value(t)) {
				return
			}
		}
	}
}

// Set sets an attribute.
func (a *attrs) Set(key string, v Value) {
	a.changed = true
	a.sets = append(a.sets, set{key, v})
	if t := a.find(key); t != nil {
		t.set = int32(len(a.sets))
		return
	}
	a.list = append(a.list, attr{set: int32(len(a.sets))})
}

// SetText sets an attribute to a text.
func (a *attrs) SetText(key, text string) { a.Set(key, StringValue(text)) }

// Delete removes an attribute, and reports whether there was one.
func (a *attrs) Delete(key string) bool {
	found := false
	for t := a.find(key); t != nil; t = a.find(key) {
		t.set, a.changed, found = -1, true, true
	}
	return found
}

// add notes an attribute that lies in the message.
func (a *attrs) add(f *fields) {
	t := attr{lo: uint32(f.lo), hi: uint32(f.at)}
	for in := (fields{b: f.b, at: f.body, end: f.at}); in.next(); {
		switch in.num {
		case 1:
			t.keyLo, t.keyHi = uint32(in.body), uint32(in.at)
		case 2:
			t.valueLo, t.valueHi = uint32(in.body), uint32(in.at)
		}
	}
	a.list = append(a.list, t)
}

// addShort is add for a KeyValue as most are: a key and a value with one byte of length each.
func (a *attrs) addShort(lo, body, end int) bool {
	b := a.raw[:end]
	if body+2 > end || b[body] != 1<<3|2 || b[body+1] >= 0x80 {
		return false
	}
	value := body + 2 + int(b[body+1]) + 2
	if value > end || b[value-2] != 2<<3|2 || int(b[value-1]) != end-value {
		return false
	}
	a.list = append(a.list, attr{lo: uint32(lo), hi: uint32(end), keyLo: uint32(body + 2), keyHi: uint32(value - 2), valueLo: uint32(value), valueHi: uint32(end)})
	return true
}

// append appends what is left of the attributes, as fields of a number.
func (a *attrs) append(out []byte, num byte) []byte {
	for i := range a.list {
		switch t := &a.list[i]; {
		case t.set < 0:
		case t.set == 0:
			out = append(out, a.raw[t.lo:t.hi]...)
		default:
			s := &a.sets[t.set-1]
			var at, value int
			out, at = open(out, num)
			out = appendBytes(out, 1, bytesOf(s.key))
			out, value = open(out, 2)
			out = appendValue(out, s.value)
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
	name, message       []byte
	traceID, id, parent []byte
	kind                Kind
	status              Status
	start, end          uint64
	edited              uint8 // which of them were set
	dropped             bool
	resource            *Resource
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
	a := attrs{raw: e.raw}
	for f := all(e.raw); f.next(); {
		if f.num == 3 {
			a.add(&f)
		}
	}
	return a.Attr(key)
}

// Events calls yield with each of the span's events.
func (s *Span) Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for f := all(s.raw); f.next(); {
			if f.num != 11 {
				continue
			}
			e := Event{raw: f.bytes()}
			for in := all(e.raw); in.next(); {
				switch in.num {
				case 1:
					e.Time = in.val
				case 2:
					e.Name = textOf(in.bytes())
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
	s.reset(raw)
	s.name, s.message, s.traceID, s.id, s.parent = nil, nil, nil, nil, nil
	s.kind, s.status, s.start, s.end, s.edited, s.dropped = 0, 0, 0, 0, 0, false
	for at := 0; at < len(raw); {
		// Most is fields of one byte of tag and one of length. To read these here, without a call, is twice as fast.
		if raw[at]&0x87 != 2 || at+1 >= len(raw) || raw[at+1] >= 0x80 || at+2+int(raw[at+1]) > len(raw) {
			f := fields{b: raw, at: at, end: len(raw)}
			if !f.next() {
				return
			}
			s.field(&f)
			at = f.at
			continue
		}
		lo, body := at, at+2
		at = body + int(raw[at+1])
		switch b := raw[body:at:at]; raw[lo] >> 3 {
		case 1:
			s.traceID = b
		case 2:
			s.id = b
		case 4:
			s.parent = b
		case 5:
			s.name = b
		case 9:
			if !s.addShort(lo, body, at) {
				s.add(&fields{b: raw, lo: lo, body: body, at: at})
			}
		case 15:
			s.field(&fields{b: raw, body: body, at: at, num: 15})
		}
	}
}

// field reads one of a span's fields.
func (s *Span) field(f *fields) {
	switch f.num {
	case 5:
		s.name = f.bytes()
	case 6:
		s.kind = Kind(f.val)
	case 7:
		s.start = f.val
	case 8:
		s.end = f.val
	case 9:
		s.add(f)
	case 15:
		for in := f.sub(); in.next(); {
			switch in.num {
			case 2:
				s.message = in.bytes()
			case 3:
				s.status = Status(in.val)
			}
		}
	}
}

// append appends a span that was changed: its fields as they are, but for those that were set.
func (s *Span) append(out []byte) []byte {
	for f := all(s.raw); f.next(); {
		switch {
		case f.num == 5 && s.edited&editedName != 0, f.num == 6 && s.edited&editedKind != 0, f.num == 15 && s.edited&editedStatus != 0:
		case f.num == 9 && s.changed:
		default:
			out = append(out, f.b[f.lo:f.at]...)
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
	in, out    []byte
	copied     int // of in, so much is in out
	res, scope message
}

// message is a ResourceSpans or ScopeSpans that is being read: where it lies in the input, and, once something in it changed, in the output.
type message struct {
	at, body int
	length   int // where its length goes in out; 0: it is not begun there
}

// copyTo copies the input up to at.
func (w *writer) copyTo(at int) {
	w.out = append(w.out, w.in[w.copied:at]...)
	w.copied = at
}

// begin begins a message around a change in the output.
func (w *writer) begin(m *message, num byte) {
	if m.length == 0 {
		w.copyTo(m.at)
		w.out, m.length = open(w.out, num)
		w.copied = m.body
	}
}

// replace makes place for what comes instead of a field.
func (w *writer) replace(f *fields) {
	w.copyTo(f.lo)
	w.copied = f.at
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
	for f := all(in); f.next(); {
		if f.num == 1 {
			w.resourceSpans(&f)
		}
	}
	if w.copied > 0 {
		w.copyTo(len(in))
	}
}

func (w *writer) resourceSpans(f *fields) {
	w.res = message{at: f.lo, body: f.body}
	resource.reset(w.in)
	for sub := f.sub(); sub.next(); {
		if sub.num == 1 {
			w.resource(&sub)
		}
	}
	for sub := f.sub(); sub.next(); {
		switch {
		case sub.num == 1 && resource.changed:
			w.begin(&w.res, 1)
			w.replace(&sub)
			w.changedResource(&sub)
		case sub.num == 2:
			w.scopeSpans(&sub)
		}
	}
	w.finish(&w.res, f.at)
}

// resource reads a Resource, and has it processed.
func (w *writer) resource(f *fields) {
	for sub := f.sub(); sub.next(); {
		if sub.num == 1 {
			resource.add(&sub)
		}
	}
	if onResource != nil {
		onResource(&resource)
	}
}

func (w *writer) changedResource(f *fields) {
	var at int
	w.out, at = open(w.out, 1)
	for sub := f.sub(); sub.next(); {
		if sub.num != 1 {
			w.out = append(w.out, sub.b[sub.lo:sub.at]...)
		}
	}
	w.out = shut(resource.append(w.out, 1), at)
}

func (w *writer) scopeSpans(f *fields) {
	w.scope = message{at: f.lo, body: f.body}
	for sub := f.sub(); sub.next(); {
		if sub.num != 2 {
			continue
		}
		span.resource = &resource
		span.load(sub.bytes())
		onSpan(&span)
		if !span.dropped && span.edited == 0 && !span.changed {
			continue
		}
		w.begin(&w.res, 1)
		w.begin(&w.scope, 2)
		w.replace(&sub)
		if !span.dropped {
			var at int
			w.out, at = open(w.out, 2)
			w.out = shut(span.append(w.out), at)
		}
	}
	w.finish(&w.scope, f.at)
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

// fields goes through the fields of a message. Clew hands over only what it has checked; what is no field ends it.
type fields struct {
	b        []byte
	at, end  int // of b, what is yet to be read
	lo, body int // where the field begins, and what is in it; it ends at at
	num      int
	val      uint64 // the number that it is, if it is one
}

func all(b []byte) fields { return fields{b: b, end: len(b)} }

// sub goes through the fields of the message that the field is.
func (f *fields) sub() fields { return fields{b: f.b, at: f.body, end: f.at} }

// bytes returns what is in the field.
func (f *fields) bytes() []byte { return f.b[f.body:f.at:f.at] }

// next goes to the next field, and reports whether there is one.
func (f *fields) next() bool {
	if f.at >= f.end {
		return false
	}
	f.lo = f.at
	tag := uint64(f.b[f.at])
	if tag < 0x80 {
		f.at++
	} else if tag = f.varint(); f.at > f.end {
		return false
	}
	f.num, f.body = int(tag>>3), f.at
	switch tag & 7 {
	case 0:
		f.val = f.varint()
		return f.at <= f.end
	case 1:
		if f.at += 8; f.at > f.end {
			return false
		}
		f.val = binary.LittleEndian.Uint64(f.b[f.body:])
	case 5:
		if f.at += 4; f.at > f.end {
			return false
		}
		f.val = uint64(binary.LittleEndian.Uint32(f.b[f.body:]))
	case 2:
		size := uint64(f.varint())
		if f.at > f.end || size > uint64(f.end-f.at) {
			f.at = f.end
			return false
		}
		f.body = f.at
		f.at += int(size)
	default:
		f.at = f.end
		return false
	}
	return true
}

// varint reads a number; if there is none, at is behind end.
func (f *fields) varint() uint64 {
	if f.at < f.end && f.b[f.at] < 0x80 {
		f.at++
		return uint64(f.b[f.at-1])
	}
	v, n := binary.Uvarint(f.b[f.at:f.end])
	if n <= 0 {
		f.at = f.end + 1
		return 0
	}
	f.at += n
	return v
}

func readValue(raw []byte) Value {
	if len(raw) >= 2 && raw[0] == 1<<3|2 && int(raw[1]) == len(raw)-2 && raw[1] < 0x80 {
		return Value{typ: String, raw: raw[2:]}
	}
	var v Value
	for f := all(raw); f.next(); {
		switch f.num {
		case 1:
			v = Value{typ: String, raw: f.bytes()}
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
			v = Value{typ: Bytes, raw: f.bytes()}
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
