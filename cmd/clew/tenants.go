package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/clewtrace/clew/access"
	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/forward"
	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/store/tenants"
	"github.com/clewtrace/clew/trace"
)

const (
	// defaultTenantHeader is what Grafana's Tempo, Loki and Mimir call it, and so what clients can be told to send.
	defaultTenantHeader = "X-Scope-OrgID"
	// tenantHeader tells, with each answer, whose it is. Who deletes must not take "there are no tenants here" for "done".
	tenantHeader = "X-Clew-Tenant"
	// minHeadShare is the smallest share of store.head_bytes with which blocks are of a size that is worth it.
	minHeadShare = 1 << 20
)

// tenant is one that is configured.
type tenant struct {
	name      string
	retention *time.Duration // nil: as store.retention
	bytes     *int64         // nil: as store.retention_bytes
	limits    tenantLimits
}

// tenantLimits is how much a tenant may send and ask; 0: no limit, or as all tenants.
type tenantLimits struct {
	spans, bytes int64 // a second
	queries      int   // at once
}

// settings is the limits as keys below a prefix.
func (l *tenantLimits) settings(prefix, who string) settings {
	return settings{
		{key: prefix + "spans_per_second", help: "spans that " + who + " may send a second; 0: no limit", value: &number{&l.spans}},
		{key: prefix + "bytes_per_second", help: "bytes of OTLP, decompressed, that " + who + " may send a second; 0: no limit", value: &size{&l.bytes}},
		{key: prefix + "queries", help: "queries of " + who + " that may run at once; 0: three quarters of query.concurrency, or what others leave", value: &integer{&l.queries, 0, 1024}},
	}
}

// settings is what a tenant can be told, as keys below a prefix. A value that is set is not nil afterwards.
func (t *tenant) settings(prefix string) settings {
	age, bytes := new(time.Duration), new(int64)
	return append(settings{
		{key: prefix + "retention", value: &optional{&duration{age}, func() { t.retention = age }}},
		{key: prefix + "retention_bytes", value: &optional{&size{bytes}, func() { t.bytes = bytes }}},
	}, t.limits.settings(prefix, "the tenant")...)
}

// optional is a value of which is told when it is set.
type optional struct {
	value interface {
		String() string
		Set(s string) error
	}
	set func()
}

func (v *optional) String() string { return v.value.String() }
func (v *optional) Set(s string) error {
	err := v.value.Set(s)
	if err == nil {
		v.set()
	}
	return err
}

// tenantList is tenants. In a file it is a section with one for each; as text they have commas between them, and what is set of one
// stands behind its name:
//
//	team-a retention=30d retention_bytes=50GiB, team-b
type tenantList struct{ p *[]tenant }

func (v *tenantList) String() string {
	parts := make([]string, len(*v.p))
	for i, t := range *v.p {
		parts[i] = t.name
		if t.retention != nil {
			parts[i] += " retention=" + (&duration{t.retention}).String()
		}
		if t.bytes != nil {
			parts[i] += " retention_bytes=" + (&size{t.bytes}).String()
		}
		for _, s := range t.limits.settings("", "") {
			if text := s.value.String(); text != "0" {
				parts[i] += " " + s.key + "=" + text
			}
		}
	}
	return strings.Join(parts, ", ")
}

// Set sets the tenants from text.
func (v *tenantList) Set(s string) error {
	*v.p = nil
	for part := range strings.SplitSeq(s, ",") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		t, err := v.named(words[0])
		if err != nil {
			return err
		}
		ss := t.settings("")
		for _, word := range words[1:] {
			key, value, _ := strings.Cut(word, "=")
			s := ss.find(key)
			if s == nil {
				return fmt.Errorf("%.80q of tenant %s is none of retention=…, retention_bytes=…, spans_per_second=…, bytes_per_second=… and queries=…", word, t.name)
			}
			if err := s.value.Set(value); err != nil {
				return fmt.Errorf("tenant %s: %s: %w", t.name, key, err)
			}
		}
		*v.p = append(*v.p, t)
	}
	return nil
}

// named returns a tenant with a name that no other has. Names that differ in case alone would be the same folder on some systems.
func (v *tenantList) named(name string) (tenant, error) {
	if err := tenants.CheckName(name); err != nil {
		return tenant{}, err
	}
	for _, t := range *v.p {
		if strings.EqualFold(t.name, name) {
			return tenant{}, fmt.Errorf("tenant %s is there already, as %s; want names that differ in more than case", name, t.name)
		}
	}
	return tenant{name: name}, nil
}

// loadNode sets the tenants from a file's section, or from a list of texts. Errors are as of settings.loadNode.
func (v *tenantList) loadNode(path, key string, n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		s := setting{value: &list{new([]string)}}
		err := s.setNode(n)
		if err == nil {
			err = v.Set(s.value.String())
		}
		if err != nil {
			return fmt.Errorf("%s%s: %w", where(path, n.Line), key, err)
		}
		return nil
	}
	*v.p = nil
	if n.Kind != yaml.MappingNode {
		return wants(path, key, n, "a section of tenants, each with its name, or a list of names")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		t, err := v.named(k.Value)
		if err != nil {
			return fmt.Errorf("%s%s: %w", where(path, k.Line), key, err)
		}
		prefix := key + "." + t.name + "."
		if err := t.settings(prefix).loadNode(path, prefix, n.Content[i+1], map[string]int{}); err != nil {
			return err
		}
		*v.p = append(*v.p, t)
	}
	return nil
}

func (c *config) validateTenants() error {
	if c.access.limitsOfAll != (tenantLimits{}) && len(c.tenants) == 0 {
		return errors.New("tenants.list: is empty, but there are limits for tenants; want at least one")
	}
	if c.access.burst < time.Second {
		return fmt.Errorf("tenants.burst: is %v; want 1s or more", c.access.burst)
	}
	if c.tenantHeader == "" || strings.ContainsFunc(c.tenantHeader, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) {
		return fmt.Errorf("tenants.header: %.80q is no header's name; want one such as %s", c.tenantHeader, defaultTenantHeader)
	}
	if n := int64(len(c.tenants)); n > 0 && c.store.HeadBytes/(n+1) < minHeadShare {
		return fmt.Errorf("store.head_bytes: is %d, of which each of %d tenants has an equal share; want %d MiB or more", c.store.HeadBytes, n+1, (n+1)*minHeadShare>>20)
	}
	return nil
}

// tenantsKept returns the tenants beside the default, with the store's retention where they have none.
func (c *config) tenantsKept() (out []tenants.Tenant) {
	for _, t := range c.tenants {
		keep := tenants.Tenant{Name: t.name, Retention: c.store.Retention, RetentionBytes: c.store.RetentionBytes}
		if t.retention != nil {
			keep.Retention = *t.retention
		}
		if t.bytes != nil {
			keep.RetentionBytes = *t.bytes
		}
		out = append(out, keep)
	}
	return out
}

// limited returns all tenants, the default first, with what all may where they have no limit of their own.
func (c *config) limited() []tenant {
	out := append([]tenant{{name: trace.DefaultTenant}}, c.tenants...)
	for i := range out {
		l := &out[i].limits
		l.spans, l.bytes, l.queries = cmp.Or(l.spans, c.access.limitsOfAll.spans), cmp.Or(l.bytes, c.access.limitsOfAll.bytes), cmp.Or(l.queries, c.access.limitsOfAll.queries)
	}
	return out
}

// share shares out what tenants have in common, if there are any: memory of what is received, and queries at once.
func (c *config) share(gate *api.Gate, bodies *receive.Bodies, reg prometheus.Registerer) *receive.Tenants {
	if len(c.tenants) == 0 {
		return nil
	}
	var send []receive.Tenant
	var ask []api.Tenant
	for _, t := range c.limited() {
		send = append(send, receive.Tenant{Name: t.name, Spans: t.limits.spans, Bytes: t.limits.bytes, Burst: c.access.burst})
		ask = append(ask, api.Tenant{Name: t.name, Queries: t.limits.queries})
	}
	gate.Share(ask, reg)
	all := receive.NewTenants(send, reg)
	bodies.Share(all)
	return all
}

// named has a handler answer for the tenant that a request's header names, if its caller may, or else for the caller's own, or the
// listener's; it is h itself when no tenants are configured. The header is read here and nowhere else; whether there is such a tenant is
// for the store to say, and for each protocol to tell. With forwarding it notes where spans have been, too.
func (c *config) named(g *access.Guard, h http.Handler) http.Handler {
	if len(c.forwardTo) > 0 {
		h = forward.Marked(h)
	}
	if len(c.tenants) == 0 {
		return h
	}
	otherwise := c.listenerTenant(listenPrefix + g.Listener)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.Join(r.Header.Values(c.tenantHeader), ", ") // which of several it is, is not for us to guess: together they are none
		name, ok := g.Tenant(w, r, name, otherwise)
		if !ok {
			return
		}
		w.Header().Add("Vary", c.tenantHeader) // a cache on the way must not give one's answer to another
		w.Header().Set(tenantHeader, name)
		h.ServeHTTP(w, r.WithContext(trace.WithTenant(r.Context(), name)))
	})
}

// listenerTenant returns the tenant of what comes in at a listener, by its key, and names none.
func (c *config) listenerTenant(key string) string {
	if t := find(c.access.tenants, strings.TrimPrefix(key, listenPrefix)); t != nil {
		return *t
	}
	return trace.DefaultTenant
}

// tenantNames returns the names of the tenants beside the default.
func (c *config) tenantNames() (names []string) {
	for _, t := range c.tenants {
		names = append(names, t.name)
	}
	return names
}

// addressed is the tenant that a command is about, and how the server is told.
type addressed struct{ tenant, header string }

// addressFlags adds the flags of a command that is about one tenant.
func addressFlags(fs *flag.FlagSet) *addressed {
	a := &addressed{}
	fs.Func("tenant", "`name` of the tenant; without it, the server's tenant default", func(v string) error {
		if v == "" {
			return errors.New("is empty; leave it out for the tenant default")
		}
		a.tenant = v
		return nil
	})
	fs.StringVar(&a.header, "tenant-header", defaultTenantHeader, "`header` that names the tenant, if the server's setting tenants.header is another one")
	return a
}

// headers returns what names the tenant in a request: nothing, without one.
func (a *addressed) headers() map[string]string {
	if a.tenant == "" {
		return nil
	}
	return map[string]string{a.header: a.tenant}
}

// mark names the tenant in a request.
func (a *addressed) mark(req *http.Request) {
	for name, value := range a.headers() {
		req.Header.Set(name, value)
	}
}

// check holds that the server at a URL, of any port that answers HTTP, takes the command for the tenant's: one that has no tenants would
// take it for all that it has. Without a tenant it says so where there are some.
func (a *addressed) check(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	a.mark(req)
	resp, err := client.Do(req)
	if err != nil && a.tenant == "" { // what comes next says it, too
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; is the server running, and is this its admin port?", err)
	}
	_ = resp.Body.Close()
	switch answers := resp.Header.Get(tenantHeader); {
	case answers == a.tenant:
	case a.tenant == "":
		fmt.Fprintf(os.Stderr, "of the tenant %s alone: the server has others, which --tenant names\n", answers)
	default:
		return errors.New("the server knows no tenants, or names them by another header than " + a.header + "; see its settings tenants.list and tenants.header, and --tenant-header")
	}
	return nil
}
