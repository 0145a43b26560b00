package process

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"math"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

// Redaction says what must not be stored.
type Redaction struct {
	Rules   []RedactionRule // in their order; at most 64
	Allowed []trace.Glob    // attributes with other keys are dropped; none: all are allowed
	Ignored []trace.Glob    // attributes with these keys are left as they are
	Mask    string          // what is put in the place of what is masked
	Key     []byte          // of the hashes
}

// RedactionRule is about attributes with some keys, whatever their values; or, with patterns, about those parts of texts that match one. Texts
// are values (those inside arrays and maps, too) and, in a rule without keys, names of spans and events and the messages of statuses.
type RedactionRule struct {
	Keys     []trace.Glob // in any case
	Patterns []Pattern
	Action   Action
}

// Action is what becomes of what a rule is about.
type Action uint8

// The actions.
const (
	Mask Action = iota // it is replaced by Redaction.Mask
	Hash               // it is replaced by its HMAC-SHA256, the first 16 bytes in hexadecimal: the same for the same text
	Drop               // the attribute is left out; of another text the part that matches
)

// Actions are the names of the actions, in their order.
var Actions = [...]string{"mask", "hash", "drop"}

// Redactor is the step of Redaction. It works in attributes of spans, events, links, resources and scopes, and in the texts that a
// RedactionRule names.
type Redactor struct {
	cfg   Redaction
	texts uint64 // rules with patterns for texts that are no attributes
	// keys has what the rules say of a key: looked up without a lock, copied to be added to.
	keys   atomic.Pointer[map[string]verdict]
	adding sync.Mutex
	hashes sync.Pool // hash.Hash
}

// maxKeys is how many keys are remembered, and maxKey how long each may be; verdicts on others are made each time.
const (
	maxKeys = 4096
	maxKey  = 256
)

// verdict is what the rules say of an attribute by its key.
type verdict struct {
	whole    bool // the value is not even looked at
	action   Action
	patterns uint64 // rules whose patterns its value is searched for
}

// NewRedactor returns a step that redacts.
func NewRedactor(cfg Redaction) (*Redactor, error) {
	if len(cfg.Rules) > 64 {
		return nil, fmt.Errorf("rules: are %d; want 64 at most, a rule may have many keys and patterns", len(cfg.Rules))
	}
	r := &Redactor{cfg: cfg}
	for i, rule := range cfg.Rules {
		if len(rule.Keys)+len(rule.Patterns) == 0 {
			return nil, fmt.Errorf("rules[%d]: has neither keys nor patterns", i)
		}
		if rule.Action == Hash && len(cfg.Key) < 16 {
			return nil, fmt.Errorf("key_file: rules[%d] hashes, for which a key of 16 bytes or more is needed", i)
		}
		if len(rule.Keys) == 0 {
			r.texts |= 1 << i
		}
	}
	r.keys.Store(&map[string]verdict{})
	r.hashes.New = func() any { return hmac.New(sha256.New, cfg.Key) }
	return r, nil
}

// of returns the verdict on a key.
func (r *Redactor) of(key []byte) verdict {
	if v, ok := (*r.keys.Load())[string(key)]; ok {
		return v
	}
	v := r.judge(bytes.ToLower(key))
	if len(key) > maxKey || len(*r.keys.Load()) >= maxKeys {
		return v
	}
	r.adding.Lock()
	defer r.adding.Unlock()
	if known := *r.keys.Load(); len(known) < maxKeys {
		more := maps.Clone(known)
		more[string(key)] = v
		r.keys.Store(&more)
	}
	return v
}

func (r *Redactor) judge(key []byte) (v verdict) {
	matches := func(globs []trace.Glob) bool {
		for _, g := range globs {
			if trace.Glob(bytes.ToLower([]byte(g))).Match(key) {
				return true
			}
		}
		return false
	}
	switch {
	case matches(r.cfg.Ignored):
		return v
	case len(r.cfg.Allowed) > 0 && !matches(r.cfg.Allowed):
		return verdict{whole: true, action: Drop}
	}
	for i, rule := range r.cfg.Rules {
		switch {
		case len(rule.Keys) > 0 && !matches(rule.Keys):
		case len(rule.Patterns) > 0:
			v.patterns |= 1 << i
		case !v.whole || rule.Action == Drop: // the first counts, but what one drops is not kept for another
			v.whole, v.action = true, rule.Action
		}
	}
	return v
}

// Process redacts. Most batches have nothing to redact: they are looked through, and left as they are.
func (r *Redactor) Process(_ context.Context, b *trace.Batch) error {
	hit := false
	for i := range b.Spans {
		if hit = r.hitsSpan(b, &b.Spans[i]); hit {
			break
		}
	}
	for i := 0; i < len(b.Resources) && !hit; i++ {
		hit = r.hitsAttrs(b.Bytes(b.Resources[i].Body), 1)
	}
	for i := 0; i < len(b.Scopes) && !hit; i++ {
		hit = r.hitsAttrs(b.Bytes(b.Scopes[i].Body), 3)
	}
	if !hit {
		return nil
	}
	return b.Edit(&trace.Edit{
		Resource: func(dst []byte, _ int, body []byte) ([]byte, trace.Change) { return r.attrs(dst, body, 1) },
		Scope:    func(dst []byte, _ int, body []byte) ([]byte, trace.Change) { return r.attrs(dst, body, 3) },
		Span: func(dst []byte, i int, body []byte) ([]byte, trace.Change) {
			if !r.hitsSpan(b, &b.Spans[i]) {
				return dst, trace.Same
			}
			return r.span(dst, body), trace.Changed
		},
	})
}

// hitsSpan reports whether there is anything to redact in a span, by the batch's index.
func (r *Redactor) hitsSpan(b *trace.Batch, s *trace.SpanRef) bool {
	for i := range b.Attrs[s.AttrLo:s.AttrHi] {
		a := &b.Attrs[int(s.AttrLo)+i]
		v := r.of(b.Bytes(a.Key))
		if v.whole {
			return true
		}
		if v.patterns == 0 {
			continue
		}
		switch a.Type {
		case trace.TypeString:
			if r.hitsText(b.Bytes(a.Val), v.patterns) {
				return true
			}
		case trace.TypeArray, trace.TypeMap:
			if r.hitsValue(b.Bytes(a.Val), v.patterns) {
				return true
			}
		}
	}
	if r.texts != 0 && r.hitsText(b.Bytes(s.Name), r.texts) {
		return true
	}
	for _, p := range b.Rest[s.RestLo:s.RestHi] {
		f, _ := next(b.Bytes(p))
		switch f.num {
		case 11, 13:
			if r.hitsAttrs(f.body, nestedAttrs(f.num)) || f.num == 11 && r.hitsField(f.body, 2) {
				return true
			}
		case 15:
			if r.hitsField(f.body, 2) {
				return true
			}
		}
	}
	return false
}

// nestedAttrs returns the number of the attributes in an Event or a Link.
func nestedAttrs(num protowire.Number) protowire.Number {
	if num == 11 {
		return 3
	}
	return 4
}

func (r *Redactor) hitsAttrs(body []byte, num protowire.Number) bool {
	for len(body) > 0 {
		var f wireField
		if f, body = next(body); f.num != num || f.wire != protowire.BytesType {
			continue
		}
		key, value := keyValue(f.body)
		if v := r.of(key); v.whole || v.patterns != 0 && r.hitsValue(value, v.patterns) {
			return true
		}
	}
	return false
}

func (r *Redactor) hitsField(body []byte, num protowire.Number) bool {
	for len(body) > 0 && r.texts != 0 {
		var f wireField
		if f, body = next(body); f.num == num && f.wire == protowire.BytesType && r.hitsText(f.body, r.texts) {
			return true
		}
	}
	return false
}

func (r *Redactor) hitsValue(value []byte, rules uint64) bool {
	for len(value) > 0 {
		var f wireField
		f, value = next(value)
		if f.wire != protowire.BytesType {
			continue
		}
		switch f.num {
		case 1:
			if r.hitsText(f.body, rules) {
				return true
			}
		case 5:
			for list := f.body; len(list) > 0; {
				var e wireField
				if e, list = next(list); e.num == 1 && e.wire == protowire.BytesType && r.hitsValue(e.body, rules) {
					return true
				}
			}
		case 6:
			if r.hitsAttrs(f.body, 1) {
				return true
			}
		}
	}
	return false
}

func (r *Redactor) hitsText(text []byte, rules uint64) bool {
	has := traitsOf(text)
	for i := range r.cfg.Rules {
		if rules&(1<<i) == 0 {
			continue
		}
		for k := range r.cfg.Rules[i].Patterns {
			p := &r.cfg.Rules[i].Patterns[k]
			if has&p.needs == p.needs && p.matches(text) {
				return true
			}
		}
	}
	return false
}

// hashed appends the hash of a text.
func (r *Redactor) hashed(dst, text []byte) []byte {
	h := r.hashes.Get().(hash.Hash)
	defer r.hashes.Put(h)
	h.Reset()
	h.Write(text)
	var sum [sha256.Size]byte
	return hex.AppendEncode(dst, h.Sum(sum[:0])[:16])
}

// put appends what takes the place of a text.
func (r *Redactor) put(dst, text []byte, a Action) []byte {
	switch a {
	case Mask:
		return append(dst, r.cfg.Mask...)
	case Hash:
		return r.hashed(dst, text)
	}
	return dst
}

// replace returns a text as the rules have it, and whether one of them drops what it is the value of.
func (r *Redactor) replace(text []byte, rules uint64) (out []byte, drop bool) {
	out = text
	for i := range r.cfg.Rules {
		if rules&(1<<i) == 0 {
			continue
		}
		rule := &r.cfg.Rules[i]
		for k := range rule.Patterns {
			found := rule.Patterns[k].all(out)
			if len(found) == 0 {
				continue
			}
			drop = drop || rule.Action == Drop
			var changed []byte
			from := 0
			for _, at := range found {
				changed = r.put(append(changed, out[from:at[0]]...), out[at[0]:at[1]], rule.Action)
				from = at[1]
			}
			out = append(changed, out[from:]...)
		}
	}
	return out, drop
}

// text appends the redacted form of a value that is a text: of numbers, what they are written as.
func textValue(value []byte) []byte {
	if text, ok := textOf(value); ok {
		return text
	}
	v, err := trace.DecodeValue(value)
	if err != nil {
		return value
	}
	if v.Type() == trace.TypeDouble && math.IsNaN(v.Double()) {
		return []byte("NaN")
	}
	return []byte(v.Text())
}
