package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

// query is a question, asked again and again; each time of another path, in turn.
type query struct {
	name  string
	paths []string
}

const (
	queryRounds = 300             // how often a question is asked
	queryTime   = 8 * time.Second // or for how long, once it was asked queryLeast times
	queryLeast  = 10
)

// queryTable asks the server that starts on an ingest run's folder.
func queryTable(ctx context.Context, o *options, dir string) (string, error) {
	s, err := testkit.Launch(o.clew, dir, "--log.level", "info", "--store.retention", "0")
	if err != nil {
		return "", err
	}
	defer s.Kill()
	if err := settle(ctx, s.PID()); err != nil {
		return "", err
	}
	questions, err := questionsOf(ctx, s)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| question | CPU-ms | p50 | p99 | bytes of answer |\n|---|--:|--:|--:|--:|\n")
	for _, q := range questions {
		fmt.Fprintln(os.Stderr, "query:", q.name)
		got, err := measure(ctx, s, q)
		if err != nil {
			return "", fmt.Errorf("%s: %w", q.name, err)
		}
		b.WriteString(got.row(q.name))
	}
	fmt.Fprintf(&b, "\nMemory after the queries: %d MB.\n\n", memory(s.PID(), "VmRSS")>>20)
	return b.String(), s.Stop()
}

// get returns an answer's body, which must be of status 200.
func get(ctx context.Context, u string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %.200s", u, resp.StatusCode, body)
	}
	return body, err
}

// questionsOf makes questions of what is stored: IDs of old and new traces, an order's number.
func questionsOf(ctx context.Context, s *testkit.Server) ([]query, error) {
	ids, orders, err := sample(ctx, s.URL("query"))
	if err != nil {
		return nil, err
	}
	var columns, jaeger, needles []string
	for _, id := range ids {
		columns = append(columns, "/api/v1/traces/"+id+"/columns")
		jaeger = append(jaeger, "/api/traces/"+id)
	}
	for _, order := range orders {
		needles = append(needles, "/api/v1/search?"+url.Values{"tag": {"app.order.id=" + order}}.Encode())
	}
	one := func(name, path string) query { return query{name, []string{path}} }
	const narrow = "service=cart&operation=shop.cart.v1.Cart%2FGetCart"
	return []query{
		one("services", "/api/services"),
		one("operations", "/api/operations?service=frontend"),
		one("attribute keys", "/api/v1/attributes?limit=1000"),
		one("attribute keys of a service", "/api/v1/attributes?service=frontend"),
		one("values of an attribute key", "/api/v1/attributes/http.route/values"),
		{"trace by ID, as the page reads it", columns},
		{"trace by ID, as Jaeger's JSON", jaeger},
		one("newest 20 of a service, summaries", "/api/v1/search?service=cart"),
		one("newest 20 of service + operation + attribute, summaries", "/api/v1/search?"+narrow+"&tag=rpc.system%3Dgrpc"),
		one("newest 20 of service + minimum duration, summaries", "/api/v1/search?service=frontend&minDuration=200ms"),
		one("newest 20 of a service, whole, as Jaeger's JSON", "/api/traces?service=cart&limit=20"),
		one("newest 20 of service + minimum duration, whole, as Jaeger's JSON", "/api/traces?service=frontend&minDuration=200ms&limit=20"),
		{"needle: an order's number in all that is stored", needles},
	}, nil
}

// sample returns the IDs of traces over all the time that is stored, and the orders in them.
func sample(ctx context.Context, base string) (ids, orders []string, err error) {
	var status struct {
		Store struct {
			Oldest, Newest int64 `json:",string"`
		}
	}
	body, err := get(ctx, base+"/api/v1/status")
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return nil, nil, fmt.Errorf("status: %w", err)
	}
	oldest, newest := status.Store.Oldest, status.Store.Newest
	const points = 20
	for i := range int64(points) {
		to := newest - (newest-oldest)*i/points
		body, err := get(ctx, fmt.Sprintf("%s/api/traces?service=checkout&limit=5&start=0&end=%d", base, to/1000))
		if err != nil {
			return nil, nil, err
		}
		var found struct {
			Data []struct {
				TraceID string
				Spans   []struct {
					Tags []struct {
						Key   string
						Value any
					}
				}
			}
		}
		if err := json.Unmarshal(body, &found); err != nil {
			return nil, nil, err
		}
		for _, t := range found.Data {
			ids = append(ids, t.TraceID)
			for _, s := range t.Spans {
				for _, tag := range s.Tags {
					if text, ok := tag.Value.(string); ok && tag.Key == "app.order.id" && !slices.Contains(orders, text) {
						orders = append(orders, text)
					}
				}
			}
		}
	}
	if len(ids) == 0 || len(orders) == 0 {
		return nil, nil, fmt.Errorf("found %d traces and %d orders to ask for", len(ids), len(orders))
	}
	return ids, orders, nil
}

// asked is what a question cost the server, and how long the answers took.
type asked struct {
	cpu   float64 // ms
	took  []time.Duration
	bytes int
}

func (a *asked) quantile(q float64) time.Duration { return a.took[int(float64(len(a.took)-1)*q)] }

// measure asks a question many times, one after the other.
func measure(ctx context.Context, s *testkit.Server, q query) (*asked, error) {
	return measureAt(ctx, s.URL("query"), s.PID(), q)
}

func measureAt(ctx context.Context, base string, pid int, q query) (*asked, error) {
	if _, err := get(ctx, base+q.paths[0]); err != nil { // the first one may have to open files
		return nil, err
	}
	before, err := cpuTime(pid)
	if err != nil {
		return nil, err
	}
	a := &asked{}
	begin := time.Now()
	for i := 0; i < queryRounds && (i < queryLeast || time.Since(begin) < queryTime); i++ {
		at := time.Now()
		body, err := get(ctx, base+q.paths[i%len(q.paths)])
		if err != nil {
			return nil, err
		}
		a.took = append(a.took, time.Since(at))
		a.bytes += len(body)
	}
	after, err := cpuTime(pid)
	if err != nil {
		return nil, err
	}
	slices.Sort(a.took)
	a.cpu = float64((after - before).Microseconds()) / 1000 / float64(len(a.took))
	a.bytes /= len(a.took)
	return a, nil
}

// row returns a question's row of the table.
func (a *asked) row(name string) string {
	return fmt.Sprintf("| %s | **%.2f** | %s | %s | %s |\n", name, a.cpu, a.quantile(0.5).Round(10*time.Microsecond), a.quantile(0.99).Round(10*time.Microsecond), thousands(float64(a.bytes)))
}
