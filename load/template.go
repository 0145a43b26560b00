package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/clewtrace/clew/trace"
)

// A patch is a place in a span's bytes where each span has its own value.
type patch struct {
	kind patchKind
	at   uint16
	n    uint8  // bytes, of digits, hexadecimal digits and numbers
	lo   uint32 // of numbers: lo + [0, span)
	span uint32
}

type patchKind uint8

const (
	patchTraceID patchKind = iota
	patchSpanID
	patchParent
	patchStart
	patchEnd
	patchEvent // the time of an event, shortly before the end
	patchLinkTrace
	patchLinkSpan
	patchUser    // six digits, of the trace
	patchSession // 32 hexadecimal digits, of the trace
	patchOrder   // eight hexadecimal digits, of the trace
	patchProduct // ten characters, a popular one more often
	patchDigits
	patchHex
	patchNumber // varint of n bytes
	patchAmount // double with two decimals
)

// marks are what stands in a text for a value that differs, with the bytes it takes; {dN} and {xN} are N random digits.
var marks = map[string]struct {
	kind patchKind
	n    int
}{
	"user": {patchUser, 6}, "session": {patchSession, 32}, "order": {patchOrder, 8}, "product": {patchProduct, productLen},
}

// A value is what an operation says of an attribute: how to encode it, and where it differs.
type value struct {
	fixed  trace.Value
	bad    trace.Value // instead of fixed in a span that failed; empty: the same
	text   string      // with marks
	lo, hi uint32      // number in [lo, hi]; both encode to the same length
	amount bool
	oneOf  []string // one of these, the first ones more often
	peer   bool     // the address of the pod on the other side
	only   bool     // in spans that failed alone
}

type attr struct {
	key string
	val value
}

// A piece of a template is bytes with patches or, if pool is not nil, one of the fields in pool.
type piece struct {
	bytes   []byte
	patches []patch
	pool    [][]byte
	peer    bool // pool is indexed by the pod on the other side
}

// A template is an encoded span, field by field, without its tag and length in front.
type template struct {
	pieces []piece
}

// assembly is a template in the making.
type assembly struct {
	t     template
	b     []byte
	at    []patch
	peers []string
}

// sentinels mark places that AppendSpan fills and that are then searched for.
const (
	sentinelStart = 0x1122334455667788
	sentinelEnd   = 0x2233445566778899
	sentinelEvent = 0x33445566778899aa
)

var (
	sentinelTrace  = trace.ID{0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xb0}
	sentinelSpan   = trace.SpanID{0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8}
	sentinelParent = trace.SpanID{0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8}
)

// how says which of an operation's spans is meant.
type how struct {
	root    bool
	failed  bool
	thrown  bool // failed by itself: with the exception
	stack   int  // which of the stack traces
	linked  bool
	flagged uint32
}

// compile makes the template of one kind of span.
func (op *operation) compile(h how, peers []string) template {
	a := assembly{peers: peers}
	s := trace.Span{TraceID: sentinelTrace, ID: sentinelSpan, Name: op.name, Kind: op.kind, Start: sentinelStart, End: sentinelEnd}
	if !h.root {
		s.Parent = sentinelParent
	}
	a.b = trace.AppendSpan(a.b, &s)
	a.find(patchTraceID, sentinelTrace[:])
	a.find(patchSpanID, sentinelSpan[:])
	if !h.root {
		a.find(patchParent, sentinelParent[:])
	}
	a.find(patchStart, binary.LittleEndian.AppendUint64(nil, sentinelStart))
	a.find(patchEnd, binary.LittleEndian.AppendUint64(nil, sentinelEnd))
	for _, at := range op.attrs {
		if !at.val.only || h.failed {
			a.attr(at, h.failed)
		}
	}
	a.tail(op, h)
	a.cut()
	return a.t
}

// find notes the place of a sentinel in the piece at hand.
func (a *assembly) find(kind patchKind, sentinel []byte) {
	i := bytes.Index(a.b, sentinel)
	if i < 0 {
		panic(fmt.Sprintf("no place for patch %d in a template", kind))
	}
	a.at = append(a.at, patch{kind: kind, at: uint16(i)})
}

// cut ends the piece at hand.
func (a *assembly) cut() {
	if len(a.b) > 0 {
		a.t.pieces = append(a.t.pieces, piece{bytes: a.b, patches: a.at})
		a.b, a.at = nil, nil
	}
}

func (a *assembly) attr(at attr, failed bool) {
	v := at.val
	switch {
	case v.peer:
		a.choice(at.key, a.peers, true)
	case v.oneOf != nil:
		a.choice(at.key, v.oneOf, false)
	case v.text != "":
		text, patches := expand(v.text)
		a.b = trace.AppendSpanAttr(a.b, trace.Attr{Key: at.key, Value: trace.String(text)})
		a.place(patches, len(a.b)-len(text))
	case v.amount:
		a.b = trace.AppendSpanAttr(a.b, trace.Attr{Key: at.key, Value: trace.Double(1)})
		a.at = append(a.at, patch{kind: patchAmount, at: uint16(len(a.b) - 8)})
	case v.hi > 0:
		n := len(binary.AppendUvarint(nil, uint64(v.lo)))
		if n != len(binary.AppendUvarint(nil, uint64(v.hi))) {
			panic(fmt.Sprintf("%s: %d and %d are varints of different length", at.key, v.lo, v.hi))
		}
		a.b = trace.AppendSpanAttr(a.b, trace.Attr{Key: at.key, Value: trace.Int(int64(v.lo))})
		a.at = append(a.at, patch{kind: patchNumber, at: uint16(len(a.b) - n), n: uint8(n), lo: v.lo, span: v.hi - v.lo + 1})
	case failed && v.bad.Type() != trace.TypeEmpty:
		a.b = trace.AppendSpanAttr(a.b, trace.Attr{Key: at.key, Value: v.bad})
	default:
		a.b = trace.AppendSpanAttr(a.b, trace.Attr{Key: at.key, Value: v.fixed})
	}
}

func (a *assembly) choice(key string, texts []string, peer bool) {
	a.cut()
	p := piece{peer: peer}
	for _, t := range texts {
		p.pool = append(p.pool, trace.AppendSpanAttr(nil, trace.Attr{Key: key, Value: trace.String(t)}))
	}
	a.t.pieces = append(a.t.pieces, p)
}

func (a *assembly) place(patches []patch, off int) {
	for _, p := range patches {
		p.at += uint16(off)
		a.at = append(a.at, p)
	}
}

// idsLen is how many bytes AppendSpan needs for trace ID and span ID, which every span has in front.
const idsLen = 2 + 16 + 2 + 8

// tail appends what comes behind the attributes: events, links, status and flags.
func (a *assembly) tail(op *operation, h how) {
	s := trace.Span{Flags: h.flagged}
	if h.thrown {
		x := op.throws
		s.Events = []trace.Event{{Time: sentinelEvent, Name: "exception", Attrs: []trace.Attr{
			{Key: "exception.type", Value: trace.String(x.class)},
			{Key: "exception.message", Value: trace.String(x.message)},
			{Key: "exception.stacktrace", Value: trace.String(x.stacks[h.stack])},
		}}}
	}
	if h.linked {
		s.Links = []trace.Link{{TraceID: sentinelTrace, SpanID: sentinelSpan, Flags: 0x301, Attrs: []trace.Attr{
			{Key: "messaging.operation.name", Value: trace.String("receive")},
		}}}
	}
	if h.failed {
		s.Status = trace.StatusError
		if op.throws != nil {
			s.StatusMessage = op.throws.message
		}
	}
	lo := len(a.b)
	rest := trace.AppendSpan(nil, &s)[idsLen:]
	a.b = append(a.b, rest...)
	if h.thrown {
		i := bytes.Index(rest, binary.LittleEndian.AppendUint64(nil, sentinelEvent))
		a.at = append(a.at, patch{kind: patchEvent, at: uint16(lo + i)})
	}
	if h.linked {
		a.at = append(a.at, patch{kind: patchLinkTrace, at: uint16(lo + bytes.Index(rest, sentinelTrace[:]))},
			patch{kind: patchLinkSpan, at: uint16(lo + bytes.Index(rest, sentinelSpan[:]))})
	}
}

// expand returns a text with zeros for its marks, and where they are.
func expand(text string) (string, []patch) {
	var b strings.Builder
	var at []patch
	for {
		head, tail, ok := strings.Cut(text, "{")
		b.WriteString(head)
		if !ok {
			return b.String(), at
		}
		mark, rest, _ := strings.Cut(tail, "}")
		m, known := marks[mark]
		if !known {
			n := 0
			if _, err := fmt.Sscanf(mark[1:], "%d", &n); err != nil || n < 1 {
				panic("unknown mark {" + mark + "}")
			}
			m.n = n
			switch mark[0] {
			case 'd':
				m.kind = patchDigits
			case 'x':
				m.kind = patchHex
			default:
				panic("unknown mark {" + mark + "}")
			}
		}
		at = append(at, patch{kind: m.kind, at: uint16(b.Len()), n: uint8(m.n)})
		b.WriteString(strings.Repeat("0", m.n))
		text = rest
	}
}
