package crash

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/clewtrace/clew/trace"
)

const (
	batchSpans   = 20
	traceBatches = 4 // so that a trace comes in pieces, from several writers, into several heads
)

// fate is what the writers know of a batch.
type fate uint8

const (
	unknown fate = iota // sent, perhaps, but not acknowledged: it may be there or not
	acked
)

// book is what the writers sent, by number of the batch.
type book struct {
	mu      sync.Mutex
	fates   []fate
	resent  int
	deleted map[int]fate // traces
}

// next returns the number of a batch that is to be sent.
func (b *book) next() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fates = append(b.fates, unknown)
	return len(b.fates) - 1
}

func (b *book) ack(n int, again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fates[n] = acked
	if again {
		b.resent++
	}
}

// count returns how many batches there are, how many were acknowledged, and how many of these were sent more than once.
func (b *book) count() (all, acknowledged, resent int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.fates {
		if f == acked {
			acknowledged++
		}
	}
	return len(b.fates), acknowledged, b.resent
}

// traces returns how many traces have been begun.
func (b *book) traces() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return (len(b.fates) + traceBatches - 1) / traceBatches
}

// of returns the fates of a trace's batches.
func (b *book) of(trace int) []fate {
	b.mu.Lock()
	defer b.mu.Unlock()
	lo := trace * traceBatches
	return append([]fate(nil), b.fates[lo:min(len(b.fates), lo+traceBatches)]...)
}

func traceID(n int) (id trace.ID) {
	binary.BigEndian.PutUint64(id[:], 0xc1e3_0000_0000_0000)
	binary.BigEndian.PutUint64(id[8:], uint64(n+1)*0x9e3779b97f4a7c15) // spread
	return id
}

func spanID(batch, i int) (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(batch+1)<<16|uint64(i))
	return id
}

func parentID(batch, i int) trace.SpanID {
	switch {
	case i > 0:
		return spanID(batch, (i-1)/2)
	case batch%traceBatches > 0:
		return spanID(batch-batch%traceBatches, 0)
	}
	return trace.SpanID{}
}

// text is a value that only span i of a batch has.
func text(batch, i int) string {
	return fmt.Sprintf("%d/%d %s", batch, i, strings.Repeat(string(rune('a'+(batch+i)%26)), (batch*7+i*13)%90))
}

// batch returns the OTLP bytes of a batch: those of the same number are always the same but for the time.
func batch(n int, now time.Time) []byte {
	res := &trace.Resource{Attrs: []trace.Attr{
		{Key: "service.name", Value: trace.String(fmt.Sprint("crash-", n%3))}, {Key: "host.name", Value: trace.String("h")},
	}}
	scope := &trace.Scope{Name: "crash"}
	spans := make([]trace.Span, batchSpans)
	for i := range spans {
		start := uint64(now.UnixNano()) + uint64(i)*1000
		spans[i] = trace.Span{
			TraceID: traceID(n / traceBatches), ID: spanID(n, i), Parent: parentID(n, i), Name: fmt.Sprint("op", i%5), Kind: trace.Kind(1 + i%5),
			Start: start, End: start + uint64(n), Resource: res, Scope: scope,
			Attrs: []trace.Attr{
				{Key: "batch", Value: trace.Int(int64(n))}, {Key: "number", Value: trace.Int(int64(i))}, {Key: "text", Value: trace.String(text(n, i))},
			},
		}
	}
	return trace.AppendTraces(nil, spans)
}

// found is a trace as the query API has it.
type found struct {
	Spans []struct {
		SpanID     string
		References []struct{ SpanID string }
		Tags       []struct {
			Key   string
			Value any
		}
	}
}

// fetch asks a server for a trace; nil when it has none.
func fetch(client *http.Client, base string, id trace.ID) (*found, error) {
	resp, err := client.Get(base + "/api/traces/" + id.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	var out struct{ Data []found }
	if err := json.Unmarshal(body, &out); err != nil || resp.StatusCode != http.StatusOK || len(out.Data) != 1 {
		return nil, fmt.Errorf("trace %s: status %d, %w\n%.500s", id, resp.StatusCode, err, body)
	}
	return &out.Data[0], nil
}

// doom notes that a trace is to be deleted, or, if it was acknowledged, that it is.
func (b *book) doom(trace int, f fate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.deleted == nil {
		b.deleted = map[int]fate{}
	}
	b.deleted[trace] = f
}

// doomed returns how many traces were deleted for sure.
func (b *book) doomed() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.deleted {
		if f == acked {
			n++
		}
	}
	return n
}

// check holds a trace against the book and returns how many spans it has. Nobody deletes meanwhile.
func (b *book) check(client *http.Client, base string, n int) (int, error) {
	before := b.of(n) // what is acknowledged later may come too late for the answer
	f, err := fetch(client, base, traceID(n))
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	fate, dead := b.deleted[n]
	b.mu.Unlock()
	switch {
	case f != nil && dead && fate == acked:
		return 0, fmt.Errorf("trace %d: deleted, and there again with %d spans", n, len(f.Spans))
	case f == nil && dead:
		return 0, nil
	case f == nil:
		f = &found{}
	}
	seen := map[[2]int]bool{}
	counts := make([]int, traceBatches)
	for _, s := range f.Spans {
		tags := map[string]any{}
		for _, t := range s.Tags {
			tags[t.Key] = t.Value
		}
		bn, ok1 := tags["batch"].(float64)
		i, ok2 := tags["number"].(float64)
		key := [2]int{int(bn), int(i)}
		if !ok1 || !ok2 || key[0]/traceBatches != n || key[1] >= batchSpans {
			return 0, fmt.Errorf("trace %d has a span that nobody sent: %+v", n, s)
		}
		if seen[key] {
			return 0, fmt.Errorf("batch %d: span %d is there twice", key[0], key[1])
		}
		seen[key] = true
		counts[key[0]%traceBatches]++
		parent := ""
		if p := parentID(key[0], key[1]); !p.IsZero() {
			parent = p.String()
		}
		got := ""
		if len(s.References) > 0 {
			got = s.References[0].SpanID
		}
		if s.SpanID != spanID(key[0], key[1]).String() || got != parent || tags["text"] != text(key[0], key[1]) {
			return 0, fmt.Errorf("batch %d: span %d is not what was sent: %+v", key[0], key[1], s)
		}
	}
	for k, count := range counts {
		switch {
		case k < len(before) && before[k] == acked && count != batchSpans:
			return 0, fmt.Errorf("batch %d: acknowledged, but %d of its %d spans are there", n*traceBatches+k, count, batchSpans)
		case count != 0 && count != batchSpans:
			return 0, fmt.Errorf("batch %d: torn, %d of its %d spans are there", n*traceBatches+k, count, batchSpans)
		}
	}
	return len(f.Spans), nil
}
