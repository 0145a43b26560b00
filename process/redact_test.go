package process

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/trace"
)

var compareValues = cmp.Comparer(func(a, b trace.Value) bool { return a.Equal(b) })

// TestPatterns: what each pattern finds, and what it leaves alone. What is found stands in ‹ ›.
// marked returns a text with what a pattern finds in ‹ and ›.
func marked(p *Pattern, text []byte) string {
	var out []byte
	from := 0
	for _, at := range p.all(text) {
		out = fmt.Appendf(out, "%s‹%s›", text[from:at[0]], text[at[0]:at[1]])
		from = at[1]
	}
	return string(append(out, text[from:]...))
}

// TestRegexps: what is around a match counts for it, and a match of nothing hides none behind it.
func TestRegexps(t *testing.T) {
	for _, c := range []struct{ re, text string }{
		{`\b\d*`, "pin ‹1234› of ‹5›"},
		{`\bx?`, "a ‹x› bx"},
		{`^ab`, "‹ab›abab"},
		{`\bab`, "‹ab›ab ‹ab›"},
		{`(?i)secret`, "a ‹Secret› and a ‹SECRET›"},
		{`[aä]+\z`, "aä b ‹äa›"},
	} {
		p, err := Regexp(c.re)
		if err != nil {
			t.Fatal(err)
		}
		plain := []byte(strings.NewReplacer("‹", "", "›", "").Replace(c.text))
		if got := marked(&p, plain); got != c.text || p.matches(plain) != strings.Contains(c.text, "‹") {
			t.Errorf("%s finds\n     %s\nwant %s; matches: %v", c.re, got, c.text, p.matches(plain))
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"credit_card", "card ‹4111 1111 1111 1111›, then ‹5500-0000-0000-0004›."},
		{"credit_card", "‹378282246310005›"},
		{"credit_card", "4111 1111 1111 1112 has a wrong check digit"},
		{"credit_card", "0000000000000000 and 12345678901234567890123 and id4111111111111111 and 4111111111111111x"},
		{"credit_card", "trace 4bf92f3577b34da6a3ce929d0e0e4736 took 1234567890123 ns"},
		{"credit_card", "‹4111 1111 1111 1111› 12/27, ‹4111111111111111› 123, 2 ‹4111-1111-1111-1111›-x"},
		{"credit_card", "‹4111\u00a01111\u00a01111\u00a01111› ‹4111–1111–1111–1111› ‹4111\u200b1111\u200b1111\u200b1111› 3782.822463.10005"},
		{"credit_card", "‹4111.1111.1111.1111›. 1700000000.000009 and 4111.1111111111111 and ?n=‹4111+1111+1111+1111›&m=‹4111%201111%201111%201111›"},
		{"credit_card", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22"},
		{"email", "to ‹jürgen@example.com›, ‹ann@bücher.example›, ?mail=‹ann%40example.com›&x=50%2B a%40b@‹c@d.io›"},
		{"email", "from ‹jane.doe+x@example.co.uk›, to ‹a@b.io›."},
		{"email", "user@localhost and @nobody and a@b and x@1.2.3.4 and git@"},
		{"email", "http://h/?mail=‹a@b.com›&x=1"},
		{"bearer_token", "Authorization: Bearer ‹abc.DEF-123_~+/==›, bearer of news"},
		{"bearer_token", "BEARER ‹0123456789› forbearer 0123456789"},
		{"jwt", "token=‹eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl›;"},
		{"jwt", "eyJhbGciOiJIUzI1NiJ9 alone, eyJ.a.b"},
		{"ipv4", "from ‹10.0.0.1›:80 to ‹255.255.255.255›"},
		{"ipv4", "version 1.2.3, 1.2.3.4.5, 256.1.1.1, 01.2.3.4, v1.2.3.4"},
		{"ipv4", "http://‹192.168.1.7›/x. It was ‹8.8.8.8›."},
		{"url_password", "amqp://u:‹p@ss›@h:5672/ and redis://:‹secret›@h, http://h:80 a@b"},
		{"url_password", "postgres://user:‹s3cret›@db:5432/x and http://user@host/ and http://host:80/a@b"},
	} {
		p, err := PatternOf(c.name)
		if err != nil {
			t.Fatal(err)
		}
		plain := []byte(strings.NewReplacer("‹", "", "›", "").Replace(c.text))
		if got := marked(&p, plain); got != c.text {
			t.Errorf("%s finds\n     %s\nwant %s", c.name, got, c.text)
		}
	}
	for text, want := range map[string]string{"(": "no regular expression", "x*": "matches the empty text"} {
		if _, err := Regexp(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := PatternOf("cards"); err == nil || !strings.Contains(err.Error(), "want one of credit_card, ") {
		t.Error(err)
	}
}

// FuzzPatterns: a pattern finds what lies in the text, in order, and something each time.
func FuzzPatterns(f *testing.F) {
	f.Add([]byte("4111 1111 1111 1111 a@b.com Bearer 12345678 eyJhbGciOiJI.a.b 1.2.3.4 http://u:p@h"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, p := range builtin() {
			from := 0
			if lo, _ := p.find(text, 0); lo >= 0 && traitsOf(text)&p.needs != p.needs {
				t.Fatalf("%s is found in %q, which has not what it needs", p.Name, text)
			}
			for lo, hi := p.find(text, 0); lo >= 0; lo, hi = p.find(text, hi) {
				if lo < from || hi <= lo || hi > len(text) {
					t.Fatalf("%s in %q from %d: %d to %d", p.Name, text, from, lo, hi)
				}
				from = hi
			}
		}
	})
}

func patterns(t testing.TB, names ...string) (out []Pattern) {
	t.Helper()
	for _, name := range names {
		p, err := PatternOf(name)
		if err != nil {
			if p, err = Regexp(name); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, p)
	}
	return out
}

// secretive has something to redact wherever there can be.
func secretive() trace.Span {
	const mail = "by a@b.com"
	s := span("shop", 1)
	s.Name, s.Status, s.StatusMessage = "send a@b.com", trace.StatusError, "no "+mail
	s.Attrs = []trace.Attr{
		{Key: "Password", Value: trace.String("x")},
		{Key: "pin", Value: trace.Int(1234)},
		{Key: "mail", Value: trace.String(mail)},
		{Key: "list", Value: trace.Array(trace.String("fine"), trace.String(mail), trace.Int(1), trace.Array(trace.String(mail)))},
		{Key: "map", Value: trace.Map(trace.Attr{Key: "password", Value: trace.String("y")}, trace.Attr{Key: "m", Value: trace.String(mail)}, trace.Attr{Key: "n", Value: trace.Int(2)})},
		{Key: "fine", Value: trace.String("nothing")},
	}
	s.Events = []trace.Event{{Time: 5, Name: mail, Attrs: []trace.Attr{{Key: "mail", Value: trace.String(mail)}, {Key: "n", Value: trace.Int(1)}}}}
	s.Links = []trace.Link{{TraceID: trace.ID{1}, SpanID: trace.SpanID{1}, Attrs: []trace.Attr{{Key: "mail", Value: trace.String(mail)}}}}
	s.Resource.Attrs = append(s.Resource.Attrs, trace.Attr{Key: "owner", Value: trace.String(mail)})
	s.Scope = &trace.Scope{Name: "lib", Attrs: []trace.Attr{{Key: "owner", Value: trace.String(mail)}}}
	return s
}

func redacted(t *testing.T, cfg Redaction, s trace.Span) trace.Span {
	t.Helper()
	r, err := NewRedactor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := batchOf(t, s)
	for range 2 { // what was redacted stays as it is
		if err := r.Process(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	return decoded(t, b)[0]
}

func TestRedact(t *testing.T) {
	cfg := Redaction{Mask: "***", Rules: []RedactionRule{
		{Keys: []trace.Glob{"*password*", "PIN"}},
		{Patterns: patterns(t, "email")},
	}}
	const mail = "by ***"
	want := secretive()
	want.Name, want.StatusMessage = "send ***", "no "+mail
	want.Attrs[0].Value, want.Attrs[1].Value, want.Attrs[2].Value = trace.String("***"), trace.String("***"), trace.String(mail)
	want.Attrs[3].Value = trace.Array(trace.String("fine"), trace.String(mail), trace.Int(1), trace.Array(trace.String(mail)))
	want.Attrs[4].Value = trace.Map(trace.Attr{Key: "password", Value: trace.String("***")}, trace.Attr{Key: "m", Value: trace.String(mail)}, trace.Attr{Key: "n", Value: trace.Int(2)})
	want.Events[0].Name, want.Events[0].Attrs[0].Value = mail, trace.String(mail)
	want.Links[0].Attrs[0].Value = trace.String(mail)
	want.Resource.Attrs[1].Value, want.Scope.Attrs[0].Value = trace.String(mail), trace.String(mail)
	if diff := cmp.Diff(want, redacted(t, cfg, secretive()), compareValues); diff != "" {
		t.Error(diff)
	}

	cfg.Rules[0].Action, cfg.Rules[1].Action = Drop, Drop
	got := redacted(t, cfg, secretive())
	if got.Name != "send " || got.StatusMessage != "no by " || len(got.Attrs) != 2 || got.Attrs[0].Key != "map" || len(got.Attrs[0].Value.List()) != 1 || len(got.Events[0].Attrs) != 1 ||
		len(got.Links[0].Attrs)+len(got.Scope.Attrs) != 0 || len(got.Resource.Attrs) != 1 {
		t.Errorf("dropped: %+v", got)
	}

	cfg = Redaction{Allowed: []trace.Glob{"service.*", "MAIL"}, Ignored: []trace.Glob{"pin"}, Mask: "-", Rules: []RedactionRule{{Keys: []trace.Glob{"mail"}, Patterns: patterns(t, "email", `\bb[a-z]\b`)}, {Keys: []trace.Glob{"pin"}}}}
	got = redacted(t, cfg, secretive())
	if len(got.Attrs) != 2 || got.Attrs[0].Value.Int() != 1234 || got.Attrs[1].Value.Str() != "- -" || got.Name != "send a@b.com" || len(got.Resource.Attrs) != 1 {
		t.Errorf("with allowed and ignored keys: %+v, %+v", got, got.Resource)
	}
}

// TestRedactHash: the same text has the same hash under a key, and another one under another.
func TestRedactHash(t *testing.T) {
	hash := func(key string) trace.Span {
		return redacted(t, Redaction{Key: []byte(key), Rules: []RedactionRule{{Keys: []trace.Glob{"pin", "password"}, Action: Hash}, {Keys: []trace.Glob{"mail"}, Patterns: patterns(t, "email"), Action: Hash}}}, secretive())
	}
	a, b, c := hash("0123456789abcdef"), hash("0123456789abcdef"), hash("fedcba9876543210")
	if pin := a.Attrs[1].Value.Str(); len(pin) != 32 || pin != b.Attrs[1].Value.Str() || pin == c.Attrs[1].Value.Str() {
		t.Errorf("hashes %s, %s, %s", pin, b.Attrs[1].Value.Str(), c.Attrs[1].Value.Str())
	}
	if m := a.Attrs[2].Value.Str(); len(m) != len("by ")+32 || !strings.HasPrefix(m, "by ") || a.Events[0].Attrs[0].Value.Str() != m {
		t.Errorf("a hash in a text: %s", m)
	}
	if _, err := NewRedactor(Redaction{Rules: []RedactionRule{{Keys: []trace.Glob{"x"}, Action: Hash}}}); err == nil || !strings.HasPrefix(err.Error(), "key_file: ") {
		t.Error(err)
	}
	if _, err := NewRedactor(Redaction{Rules: []RedactionRule{{}}}); err == nil || !strings.HasPrefix(err.Error(), "rules[0]: ") {
		t.Error(err)
	}
}

// TestRedactNothing: a batch with nothing to redact is not copied, and costs no allocation.
func TestRedactNothing(t *testing.T) {
	r, err := NewRedactor(Redaction{Mask: "***", Rules: []RedactionRule{{Keys: []trace.Glob{"password"}}, {Patterns: patterns(t, Patterns()...)}}})
	if err != nil {
		t.Fatal(err)
	}
	b := batchOf(t, plain(100)...)
	raw := b.Raw
	if n := testing.AllocsPerRun(10, func() {
		if err := r.Process(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 || &raw[0] != &b.Raw[0] {
		t.Errorf("%v allocations, copied: %v", n, &raw[0] != &b.Raw[0])
	}
}

// TestManyKeys: keys that are made up do not fill the memory.
func TestManyKeys(t *testing.T) {
	r, err := NewRedactor(Redaction{Rules: []RedactionRule{{Keys: []trace.Glob{"secret*"}, Action: Drop}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxKeys + 10 {
		if v := r.of(fmt.Appendf(nil, "key %d", i)); v.whole {
			t.Fatal(v)
		}
	}
	if n := len(*r.keys.Load()); n != maxKeys || !r.of([]byte("Secret 1")).whole {
		t.Errorf("%d keys are remembered", n)
	}
}

// plain are spans as SDKs send them, with nothing to redact, to rename or to cut.
func plain(n int) []trace.Span {
	resource := span("shop", 0).Resource
	resource.Attrs = append(resource.Attrs, trace.Attr{Key: "host.name", Value: trace.String("node-1")})
	scope := &trace.Scope{Name: "lib", Version: "1.2"}
	out := make([]trace.Span, n)
	for i := range out {
		s := span("shop", i)
		s.Name, s.Resource, s.Scope, s.Kind = "GET /users", resource, scope, trace.KindServer
		s.Attrs = []trace.Attr{
			{Key: "http.request.method", Value: trace.String("GET")},
			{Key: "url.path", Value: trace.String("/users")},
			{Key: "url.full", Value: trace.String("https://shop.example/users?sort=name")},
			{Key: "http.response.status_code", Value: trace.Int(200)},
			{Key: "user_agent.original", Value: trace.String("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")},
			{Key: "server.address", Value: trace.String("shop.example")},
			{Key: "server.port", Value: trace.Int(443)},
			{Key: "network.protocol.version", Value: trace.String("1.1")},
			{Key: "thread.name", Value: trace.String("http-nio-8080-exec-7")},
			{Key: "cached", Value: trace.Bool(false)},
		}
		out[i] = s
	}
	return out
}

// TestRedactRandom: for random spans, what is left has no secret, and spans without one are the same bytes.
func TestRedactRandom(t *testing.T) {
	r, err := NewRedactor(Redaction{Mask: "***", Rules: []RedactionRule{{Keys: []trace.Glob{"password"}, Action: Drop}, {Patterns: patterns(t, "email", "credit_card")}}})
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		spans := plain(1 + rnd.IntN(8))
		var with []bool
		for i := range spans {
			with = append(with, rnd.IntN(2) == 0)
			if with[i] {
				n := spans[i].ID
				spans[i] = secretive()
				spans[i].ID, spans[i].Resource, spans[i].Scope = n, spans[0].Resource, spans[0].Scope
			}
		}
		b := batchOf(t, spans...)
		var before [][]byte
		collect := func(into *[][]byte) {
			if err := b.Edit(&trace.Edit{Span: func(dst []byte, _ int, body []byte) ([]byte, trace.Change) {
				*into = append(*into, bytes.Clone(body))
				return dst, trace.Same
			}}); err != nil {
				t.Fatal(err)
			}
		}
		collect(&before)
		if err := r.Process(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		var after [][]byte
		collect(&after)
		for i := range before {
			if with[i] == bytes.Equal(before[i], after[i]) || bytes.Contains(after[i], []byte("a@b.com")) || bytes.Contains(after[i], []byte("assword")) {
				t.Fatalf("seed %d: span %d: %q became %q", seed, i, before[i], after[i])
			}
		}
	}
}

// TestLongKeys: what a sender calls its attributes is not remembered at any length.
func TestLongKeys(t *testing.T) {
	r, err := NewRedactor(Redaction{Mask: "*", Rules: []RedactionRule{{Keys: []trace.Glob{"*password*"}}}})
	if err != nil {
		t.Fatal(err)
	}
	long := []byte(strings.Repeat("x", 1<<20) + "password")
	if v := r.of(long); !v.whole {
		t.Errorf("a long key: %+v", v)
	}
	if r.of([]byte("password")); len(*r.keys.Load()) != 1 {
		t.Errorf("%d keys are remembered; want that of the short one", len(*r.keys.Load()))
	}
}
