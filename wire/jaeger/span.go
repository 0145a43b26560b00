package jaeger

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

// The special keys, whose first tag is held until the span is complete.
const (
	heldKind = iota
	heldError
	heldCode
	heldDescription
	heldScope
	heldScopeVersion
	heldState
	heldLibrary        // the scope as OpenTelemetry's older exporters name it
	heldLibraryVersion //
	notHeld
)

// special returns which of the special keys a key is.
func special(key []byte) int {
	switch string(key) {
	case "span.kind":
		return heldKind
	case "error":
		return heldError
	case "otel.status_code":
		return heldCode
	case "otel.status_description":
		return heldDescription
	case "otel.scope.name":
		return heldScope
	case "otel.scope.version":
		return heldScopeVersion
	case "w3c.tracestate":
		return heldState
	case "otel.library.name":
		return heldLibrary
	case "otel.library.version":
		return heldLibraryVersion
	}
	return notHeld
}

// beginSpan makes the decoder ready for a span.
func (d *Decoder) beginSpan() {
	d.s, d.held, d.errors, d.failed = span{}, [notHeld]tag{}, 0, false
	d.refs, d.warnings = d.refs[:0], d.warnings[:0]
	d.spanAt = len(d.out)
	d.out = append(d.out, 2<<3|2, 0, 0) // most spans have a length of two bytes
}

// addTag takes a tag of the span.
func (d *Decoder) addTag(t *tag) {
	if !d.room(0) {
		return
	}
	h := special(t.key)
	if h < notHeld && d.held[h].key == nil {
		d.held[h] = *t
		return
	}
	if h == heldError {
		d.errors++
		d.failed = d.failed || t.isTrue()
	}
	d.out = putAttr(d.out, inSpan, t)
}

// keep writes a special tag that does not become a part of the span.
func (d *Decoder) keep(t *tag) {
	if t.key != nil {
		d.out = putAttr(d.out, inSpan, t)
	}
}

// endSpan writes the rest of a span, and puts it where it belongs.
func (d *Decoder) endSpan() {
	if d.err != nil || !d.room(0) {
		return
	}
	s := &d.s
	d.out = appendField(d.out, 1<<3|2, s.traceID)
	d.out = appendField(d.out, 2<<3|2, s.id)
	d.references()
	d.out = appendField(d.out, 5<<3|2, s.name)
	d.kind()
	d.out = binary.LittleEndian.AppendUint64(append(d.out, 7<<3|1), s.start)
	d.out = binary.LittleEndian.AppendUint64(append(d.out, 8<<3|1), endOf(s.start, s.duration))
	d.status()
	if t := &d.held[heldState]; t.isText() {
		d.out = appendField(d.out, 3<<3|2, t.str)
	} else {
		d.keep(t)
	}
	sc := d.scopeOf()
	d.addWarnings()
	d.flags()
	d.endLength()
	d.place(sc)
}

// endLength puts the span's length in front of it.
func (d *Decoder) endLength() {
	const reserved = 2
	n := len(d.out) - d.spanAt - 1 - reserved
	if more := protowire.SizeVarint(uint64(n)) - reserved; more > 0 {
		body := d.spanAt + 1 + reserved
		d.out = append(d.out, make([]byte, more)...)
		copy(d.out[body+more:], d.out[body:body+n])
		putLength(d.out[d.spanAt+1:body+more], n)
		return
	}
	putLength(d.out[d.spanAt+1:d.spanAt+1+reserved], n)
}

// isTrue reports whether the tag says true, be it a boolean or a text, as Jaeger's page reads it.
func (t *tag) isTrue() bool {
	return t.typ == trace.TypeBool && t.num != 0 || t.typ == trace.TypeString && string(t.str) == "true"
}

// endOf returns when a span ends. It may end before it starts if its sender says so.
func endOf(start uint64, duration int64) uint64 {
	if duration >= 0 {
		return start + min(uint64(duration), math.MaxUint64-start)
	}
	return start - min(-uint64(duration), start)
}

// kind writes the span's kind. A word that is none stays a tag.
func (d *Decoder) kind() {
	t := &d.held[heldKind]
	if t.typ == trace.TypeString {
		switch string(t.str) {
		case "internal", "server", "client", "producer", "consumer":
			k, _ := trace.ParseKind(string(t.str))
			d.out = append(d.out, 6<<3, byte(k))
			return
		}
	}
	d.keep(t)
}

// status writes the span's status. The tag error decides, as in OpenTelemetry's translation; but for the one boolean that says true, which
// the Encoder makes again of the status, it stays a tag, too.
func (d *Decoder) status() {
	failed, code, text := &d.held[heldError], &d.held[heldCode], &d.held[heldDescription]
	status := trace.StatusUnset
	if failed.isTrue() || d.failed {
		status = trace.StatusError
	}
	if !failed.isTrue() || failed.typ != trace.TypeBool || d.errors > 0 {
		d.keep(failed)
	}
	switch {
	case code.typ == trace.TypeString && string(code.str) == "ERROR":
		status = trace.StatusError
	case code.typ == trace.TypeString && string(code.str) == "OK" && status == trace.StatusUnset:
		status = trace.StatusOK
	default:
		d.keep(code)
	}
	if !text.isText() {
		d.keep(text)
		text = &tag{}
	}
	size := sizeText(text.str)
	if status != trace.StatusUnset {
		size += 2
	}
	if size == 0 {
		return
	}
	d.out = protowire.AppendVarint(append(d.out, 15<<3|2), uint64(size))
	d.out = appendField(d.out, 2<<3|2, text.str)
	if status != trace.StatusUnset {
		d.out = append(d.out, 3<<3, byte(status))
	}
}

// scopeOf returns the scope that the span's tags name. The tags of the older names stay, since the Encoder writes the new ones.
func (d *Decoder) scopeOf() (sc scope) {
	name, version := &d.held[heldScope], &d.held[heldScopeVersion]
	library, libraryVersion := &d.held[heldLibrary], &d.held[heldLibraryVersion]
	d.keep(library)
	d.keep(libraryVersion)
	if name.isText() {
		sc.name = name.str
	} else {
		d.keep(name)
	}
	if version.isText() {
		sc.version = version.str
	} else {
		d.keep(version)
	}
	if name.key == nil && version.key == nil && library.isText() {
		sc.name = library.str
		if libraryVersion.isText() {
			sc.version = libraryVersion.str
		}
	}
	return sc
}

// flags writes W3C's one flag that Jaeger knows. All flags stay, if there are others.
func (d *Decoder) flags() {
	if d.s.flags&^flagSampled != 0 {
		d.out = putAttr(d.out, inSpan, &tag{key: keyFlags, typ: trace.TypeInt, num: uint64(d.s.flags)})
	}
	if d.s.flags&flagSampled != 0 {
		d.out = append(d.out, 0x85, 0x01, flagSampled, 0, 0, 0) // field 16, fixed32
	}
}

// keyService, keyFlags and keyWarnings are the attributes' keys as bytes, so that none is made for each span.
var keyService, keyFlags, keyWarnings = []byte(attrService), []byte(attrFlags), []byte(attrWarnings)

// addWarnings writes the span's warnings as an array.
func (d *Decoder) addWarnings() {
	if len(d.warnings) == 0 {
		return
	}
	value := 1 + protowire.SizeBytes(len(d.warnings))
	d.out = protowire.AppendVarint(append(d.out, inSpan), uint64(sizeText(keyWarnings)+1+protowire.SizeBytes(value)))
	d.out = appendField(d.out, 1<<3|2, keyWarnings)
	d.out = protowire.AppendVarint(append(d.out, 2<<3|2), uint64(value))
	d.out = appendField(d.out, 5<<3|2, d.warnings)
}

// linkSize is about how many bytes a reference takes as a link, together with what holds it until then.
const linkSize = 96

// addReference takes a reference of the span.
func (d *Decoder) addReference(r reference) {
	if d.room((len(d.refs) + 1) * linkSize) {
		d.refs = append(d.refs, r)
	}
}

// references writes the span's parent, and links for its other references. The parent is the one that the span names, else its first
// CHILD_OF in this trace, else its first FOLLOWS_FROM there. A link to the parent is written if it says more than that: it is no
// CHILD_OF, or not the only one.
func (d *Decoder) references() {
	s := &d.s
	here := func(r *reference) bool { return string(r.trace[:]) == string(s.traceID) }
	if s.parent.IsZero() {
		for i := range d.refs {
			if r := &d.refs[i]; here(r) && r.childOf {
				s.parent = r.span
				break
			} else if here(r) && s.parent.IsZero() {
				s.parent = r.span
			}
		}
	}
	if !s.parent.IsZero() {
		d.out = append(append(d.out, 4<<3|2, byte(len(s.parent))), s.parent[:]...)
	}
	toParent := 0
	for i := range d.refs {
		if here(&d.refs[i]) && d.refs[i].span == s.parent {
			toParent++
		}
	}
	for i := range d.refs {
		if r := &d.refs[i]; toParent != 1 || !here(r) || r.span != s.parent || !r.childOf {
			d.link(r)
		}
	}
}

// link writes a reference as a link.
func (d *Decoder) link(r *reference) {
	kind := "follows_from"
	head := "\x22\x26\x0a\x14" + attrRefType + "\x12\x0e\x0a\x0c"
	if r.childOf {
		kind = "child_of"
		head = "\x22\x22\x0a\x14" + attrRefType + "\x12\x0a\x0a\x08"
	}
	d.out = append(d.out, 13<<3|2, byte(2+len(r.trace)+2+len(r.span)+len(head)+len(kind)))
	d.out = append(append(d.out, 1<<3|2, byte(len(r.trace))), r.trace[:]...)
	d.out = append(append(d.out, 2<<3|2, byte(len(r.span))), r.span[:]...)
	d.out = append(append(d.out, head...), kind...)
}

// beginEvent begins a log, and returns where it begins.
func (d *Decoder) beginEvent() int {
	d.room(0)
	d.eventName, d.names = tag{}, 0
	d.out = append(d.out, 11<<3|2, 0)
	return len(d.out)
}

// addField takes a field of the log. The first named event is held: it is the event's name.
func (d *Decoder) addField(t *tag) {
	if !d.room(0) {
		return
	}
	if string(t.key) == "event" {
		if d.names++; d.eventName.key == nil {
			d.eventName = *t
			return
		}
	}
	d.out = putAttr(d.out, inEvent, t)
}

// endEvent writes the rest of a log that begins at at. A name that is not the only one, or no text, stays a field.
func (d *Decoder) endEvent(at int, ns uint64) {
	if ns > 0 {
		d.out = binary.LittleEndian.AppendUint64(append(d.out, 1<<3|1), ns)
	}
	if d.eventName.isText() {
		d.out = appendField(d.out, 2<<3|2, d.eventName.str)
	}
	if d.eventName.key != nil && (d.names > 1 || !d.eventName.isText()) {
		d.out = putAttr(d.out, inEvent, &d.eventName)
	}
	n := len(d.out) - at
	if more := protowire.SizeVarint(uint64(n)) - 1; more > 0 {
		d.out = append(d.out, make([]byte, more)...)
		copy(d.out[at+more:], d.out[at:at+n])
		putLength(d.out[at-1:at+more], n)
		return
	}
	d.out[at-1] = byte(n)
}

// addProcessTag takes a tag of the process.
func (d *Decoder) addProcessTag(t *tag) {
	if string(t.key) == "client-uuid" && t.typ == trace.TypeString {
		d.Client.UUID = t.str
	}
	if d.room(len(d.resource)) {
		d.resource = putAttr(d.resource, inResource, t)
	}
}

// serviceName takes the process's name. An empty one is kept as such.
func (d *Decoder) serviceName(b []byte) {
	d.resource = putAttr(d.resource, inResource, &tag{key: keyService, typ: trace.TypeString, str: b})
}
