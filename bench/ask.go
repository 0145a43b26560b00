package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

// asking is how the questions of one data folder are asked, in the APIs of Tempo, Jaeger, Zipkin and Clew.
type asking struct {
	dir     string // made, if it is not there
	spans   string // to make: a size
	history time.Duration
	only    string // questions whose name contains this
}

func (a *asking) flags() {
	flag.StringVar(&a.dir, "ask", "", "ask the questions of this data `folder` alone; it is made first, if it is not there")
	flag.StringVar(&a.spans, "ask.spans", "10M", "the `size` of what -ask makes, in spans")
	flag.DurationVar(&a.history, "ask.history", 10*time.Hour, "the `time` over which -ask spreads what it makes")
	flag.StringVar(&a.only, "ask.only", "", "ask questions whose name contains this `text` alone; implies -write=")
}

// askTable asks a store that is warm, and has all its spans in blocks.
func askTable(ctx context.Context, o *options) error {
	dir, err := filepath.Abs(o.ask.dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := o.ask.make(ctx, o, dir); err != nil {
			return err
		}
	}
	s, err := testkit.Launch(o.clew, dir, "--log.level", "info", "--store.retention", "0", "--query.timeout", "2m")
	if err != nil {
		return err
	}
	defer s.Kill()
	if err := settle(ctx, s.PID()); err != nil {
		return err
	}
	table, err := o.ask.table(ctx, s)
	if err != nil {
		return err
	}
	fmt.Print("\n", table)
	if o.write == "" || o.ask.only != "" {
		return s.Stop()
	}
	return errors.Join(s.Stop(), replaceBetween(askMarks, o.write, table))
}

// make stores spans of some hours that have passed, and has all of them in merged blocks.
func (a *asking) make(ctx context.Context, o *options, dir string) error {
	sizes, err := parseSizes(a.spans)
	if err != nil {
		return err
	}
	cfg := load.Default()
	cfg.Spans, cfg.Until = sizes[0], time.Now()
	cfg.From = cfg.Until.Add(-a.history)
	fmt.Fprintf(os.Stderr, "ask: making %s spans in %s\n", thousands(float64(cfg.Spans)), dir)
	for first := true; ; first = false {
		s, err := testkit.Launch(o.clew, dir, "--log.level", "info", "--store.retention", "0")
		if err != nil {
			return err
		}
		defer s.Kill()
		if first {
			cfg.Endpoint, cfg.Protocol, cfg.Connections, cfg.Rate = s.Address("otlp_http"), "otlp/http", 4, 0
			if _, err := sendAll(ctx, cfg); err != nil {
				return err
			}
		}
		if err := settle(ctx, s.PID()); err != nil {
			return err
		}
		if err := s.Stop(); err != nil || !first { // what the first stop wrote is merged by the second server
			return err
		}
	}
}

// askable is a question in one of the APIs.
type askable struct {
	query
	listener string
	within   time.Duration // in which 95 of 100 answers are wanted; of answers over many spans, the median
	median   bool
}

func (a *asking) table(ctx context.Context, s *testkit.Server) (string, error) {
	var st stored
	if err := st.read(ctx, s); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s spans of %v in %d blocks, %s of disk; %d MB of memory (RSS) before the questions.\n\n", machine(), thousands(float64(st.spans)), a.history, st.blocks,
		fmt.Sprintf("%.0f MB", float64(diskBytes(s.Dir))/1e6), memory(s.PID(), "VmRSS")>>20)
	b.WriteString("| question | API | CPU-ms | p50 | p95 | wanted | bytes of answer | blocks | bytes read |\n|---|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, q := range st.questions() {
		if !strings.Contains(q.name, a.only) {
			continue
		}
		fmt.Fprintln(os.Stderr, "ask:", q.name)
		got, err := measureAt(ctx, s.URL(q.listener), s.PID(), q.query)
		if err != nil {
			return "", fmt.Errorf("%s: %w", q.name, err)
		}
		body, err := get(ctx, s.URL(q.listener)+q.paths[0])
		if err != nil {
			return "", err
		}
		b.WriteString(got.askRow(&q, body))
	}
	fmt.Fprintf(&b, "\nMemory after the questions: %d MB, %d MB at the most.\n", memory(s.PID(), "VmRSS")>>20, memory(s.PID(), "VmHWM")>>20)
	return b.String(), nil
}

// askRow returns a question's row of the table. An answer that is late is marked.
func (a *asked) askRow(q *askable, body []byte) string {
	api := map[string]string{"tempo": "Tempo", "query": "Jaeger", "zipkin": "Zipkin"}[q.listener]
	if strings.HasPrefix(q.paths[0], "/api/v1/") {
		api = "own"
	}
	took, of := a.quantile(0.95), "p95"
	if q.median {
		took, of = a.quantile(0.5), "p50"
	}
	wanted, mark := fmt.Sprintf("%s < %v", of, q.within), ""
	if q.within == 0 {
		wanted = "–"
	} else if took >= q.within {
		mark = " (late)"
	}
	r := readOf(body)
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("| %s | %s | **%.2f** | %s | %s%s | %s | %s | %s | %s |\n", q.name, api, a.cpu, round(a.quantile(0.5)), round(a.quantile(0.95)), mark, wanted,
		thousands(float64(a.bytes)), r.blocks, r.bytes)
}

// readOf returns what an answer says of what was read for it, where its API has a place for that.
func readOf(body []byte) (r struct{ blocks, bytes string }) {
	var v struct {
		Scanned *struct{ Blocks, Bytes float64 }
		Metrics *struct{ InspectedBytes json.Number } // Tempo's totalBlocks are those there are
	}
	r.blocks, r.bytes = "–", "–"
	_ = json.Unmarshal(body, &v) // an answer may be a list
	switch {
	case v.Scanned != nil:
		r.blocks, r.bytes = thousands(v.Scanned.Blocks), thousands(v.Scanned.Bytes)
	case v.Metrics != nil && v.Metrics.InspectedBytes != "":
		n, _ := strconv.ParseFloat(v.Metrics.InspectedBytes.String(), 64)
		r.bytes = thousands(n)
	}
	return r
}

// stored is what there is to ask for.
type stored struct {
	spans       int64
	blocks      int
	from, to    int64 // Unix s
	ids, orders []string
}

func (st *stored) read(ctx context.Context, s *testkit.Server) (err error) {
	var status struct {
		Store struct {
			Spans          int64
			Blocks         int
			Oldest, Newest int64 `json:",string"`
		}
	}
	if err := getJSON(ctx, s.URL("query")+"/api/v1/status", &status); err != nil {
		return err
	}
	st.spans, st.blocks = status.Store.Spans, status.Store.Blocks
	st.from, st.to = status.Store.Oldest/1e9, status.Store.Newest/1e9+1
	st.ids, st.orders, err = sample(ctx, s.URL("query"))
	return err
}

// questions are those that people's pages ask most, in each API that has them.
func (st *stored) questions() []askable {
	const list, trace, newest, needle = 5 * time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond
	ask := func(name, listener string, within time.Duration, paths ...string) askable {
		return askable{query: query{name, paths}, listener: listener, within: within}
	}
	search := func(text string) string { return st.tempo("/api/search", text, "limit", "20") }
	each := func(in []string, before, after string) (out []string) {
		for _, x := range in {
			out = append(out, before+x+after)
		}
		return out
	}
	var orders []string
	for _, o := range st.orders {
		orders = append(orders, search(fmt.Sprintf("{ span.app.order.id = %q }", o)))
	}
	const frontend = "newest 20 by service and minimum duration"
	all := []askable{
		ask("services", "query", list, "/api/services"),
		ask("services", "zipkin", list, "/api/v2/services"),
		ask("operations of a service", "query", list, "/api/operations?service=frontend"),
		ask("operations of a service", "zipkin", list, "/api/v2/spans?serviceName=frontend"),
		ask("tag names", "tempo", list, "/api/v2/search/tags"),
		ask("tag names", "query", list, "/api/v1/attributes?limit=1000"),
		ask("tag values: service.name", "tempo", list, "/api/v2/search/tag/resource.service.name/values"),
		ask("tag values: http.route", "tempo", list, "/api/v2/search/tag/span.http.route/values"),
		ask("tag values: http.route", "query", list, "/api/v1/attributes/http.route/values"),
		ask("trace by ID", "tempo", trace, each(st.ids, "/api/v2/traces/", "")...),
		ask("trace by ID", "query", trace, each(st.ids, "/api/traces/", "")...),
		ask("trace by ID", "zipkin", trace, each(st.ids, "/api/v2/trace/", "")...),
		ask("trace by ID, as the page reads it", "query", trace, each(st.ids, "/api/v1/traces/", "/columns")...),
		ask("newest 20 by service", "tempo", newest, search(`{ resource.service.name = "cart" }`)),
		ask("newest 20 by service", "query", newest, "/api/v1/search?service=cart"),
		ask("newest 20 by service, whole", "query", 0, "/api/traces?service=cart&limit=20"),
		ask("newest 20 by service, whole", "zipkin", 0, fmt.Sprintf("/api/v2/traces?serviceName=cart&limit=20&endTs=%d&lookback=%d", st.to*1000, (st.to-st.from)*1000)),
		ask("newest 20 by service, operation and attribute", "tempo", newest, search(`{ resource.service.name = "cart" && name = "shop.cart.v1.Cart/GetCart" && span.rpc.system = "grpc" }`)),
		ask("newest 20 by service, operation and attribute", "query", newest, "/api/v1/search?service=cart&operation=shop.cart.v1.Cart%2FGetCart&tag=rpc.system%3Dgrpc"),
		ask(frontend, "tempo", newest, search(`{ resource.service.name = "frontend" && duration > 200ms }`)),
		ask(frontend, "query", newest, "/api/v1/search?service=frontend&minDuration=200ms"),
		ask("needle: an order's number in all that is stored", "tempo", needle, orders...),
		ask("needle: an order's number in all that is stored", "query", needle, each(st.orders, "/api/v1/search?tag=app.order.id%3D", "")...),
	}
	return append(all, st.analyses()...)
}

// analyses look at very many spans.
func (st *stored) analyses() (all []askable) {
	hour := *st
	hour.to = (st.from + st.to) / 2
	hour.from = hour.to - 3600
	const structural = `{ kind = client } > { kind = server && status = error }`
	for _, q := range []struct {
		name, path string
		within     time.Duration
	}{
		{"structural over an hour, newest 20", hour.tempo("/api/search", structural, "limit", "20"), 300 * time.Millisecond},
		{"structural over an hour, all that match counted", hour.tempo("/api/metrics/query_range", structural+" | count_over_time()", "step", "60s"), 300 * time.Millisecond},
		{"rate by service", st.tempo("/api/metrics/query_range", `{} | rate() by (resource.service.name)`, "step", "2m"), 700 * time.Millisecond},
		{"quantiles of the duration", st.tempo("/api/metrics/query_range", `{} | quantile_over_time(duration, .9, .99)`, "step", "2m"), 700 * time.Millisecond},
		{"quantiles of the duration by service", st.tempo("/api/metrics/query_range", `{} | quantile_over_time(duration, .9, .99) by (resource.service.name)`, "step", "2m"), 700 * time.Millisecond},
		{"compare: errors with the rest", st.tempo("/api/metrics/query_range", `{} | compare({status = error})`, "step", "2m"), 2 * time.Second},
	} {
		all = append(all, askable{query: query{q.name, []string{q.path}}, listener: "tempo", within: q.within, median: true})
	}
	monitor := func(name string) string {
		return fmt.Sprintf("/api/metrics/%s?service=frontend&endTs=%d&lookback=%d&step=120000&ratePer=600000", name, st.to*1000, (st.to-st.from)*1000)
	}
	return append(all,
		askable{query: query{"Monitor tab: calls of a service", []string{monitor("calls")}}, listener: "query", median: true},
		askable{query: query{"Monitor tab: latencies of a service", []string{monitor("latencies") + "&quantile=0.95"}}, listener: "query", median: true})
}

// tempo returns the path of a question in Tempo's API about all the time of which there are spans.
func (st *stored) tempo(path, text string, more ...string) string {
	v := url.Values{"q": {text}, "start": {fmt.Sprint(st.from)}, "end": {fmt.Sprint(st.to)}}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return path + "?" + v.Encode()
}
