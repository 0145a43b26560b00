package kafka

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/clewtrace/clew/trace"
)

// A piece is what is stored in one go: one record at least, and then as many as stay below both. Many small records, such as Jaeger's
// with one span each, cost one fsync.
const (
	pieceBytes   = 2 << 20
	pieceRecords = 1 << 14
)

// pieceOf returns how many of the first records are a piece.
func pieceOf(records []*kgo.Record) int {
	size := 0
	for n, r := range records {
		if size += len(r.Value); n > 0 && (size > pieceBytes || n == pieceRecords) {
			return n
		}
	}
	return len(records)
}

// writer turns records into batches and hands them to the sink. It is used again.
type writer struct {
	c      *Consumer
	buf    []byte // OTLP, record by record
	ends   []end
	batch  trace.Batch
	poison []poison // of a piece

	buried, refused notes // of a share, for the log
}

// end is where in the buffer a record ends.
type end struct {
	record *kgo.Record
	at     int
}

// poison is a record that can never be stored, and why.
type poison struct {
	record *kgo.Record
	err    *trace.Error
}

// notes are what one line of the log says of many records.
type notes struct {
	count       int
	first, last int64 // offsets
	why         string
}

func (n *notes) add(offset int64, count int, why string) {
	if n.count == 0 {
		n.first, n.why = offset, why
	}
	n.count, n.last = n.count+count, offset
}

// put keeps the writer for the next share, but not the memory of an unusually large one.
func (w *writer) put() {
	clear(w.ends[:cap(w.ends)])
	clear(w.poison[:cap(w.poison)])
	w.batch.Raw = nil
	if cap(w.buf) <= 2*pieceBytes && w.batch.Small() {
		w.c.writers.Put(w)
	}
}

// piece stores records. After an error, which a later try may not have, none, some or all of them are.
func (w *writer) piece(ctx context.Context, records []*kgo.Record) error {
	w.poison = w.poison[:0]
	for len(records) > 0 {
		var same []*kgo.Record
		var tenant string
		tenant, same, records = w.c.ofOneTenant(records)
		tctx := ctx
		if w.c.cfg.TenantHeader != "" {
			tctx = trace.WithTenant(ctx, tenant)
		}
		release, err := w.hold(tctx, same)
		if err != nil {
			return err
		}
		err = w.group(tctx, same)
		release()
		if err != nil {
			return err
		}
	}
	return w.bury(ctx)
}

// hold takes memory for the binary form of a tenant's records, in pieces and as a whole.
func (w *writer) hold(ctx context.Context, records []*kgo.Record) (release func(), err error) {
	size := int64(0)
	for _, r := range records {
		size += 2 * int64(len(r.Value))
	}
	err = patiently(ctx, func() (err error) {
		release, err = w.c.bodies.HoldFor(ctx, size)
		return err
	})
	if trace.KindOf(err) == trace.UnknownTenant { // the records are refused, and counted, where they are written
		return w.c.bodies.Hold(size)
	}
	return release, err
}

// ofOneTenant returns the records that are of the same tenant as the first, and the others.
func (c *Consumer) ofOneTenant(records []*kgo.Record) (tenant string, same, others []*kgo.Record) {
	if c.cfg.TenantHeader == "" {
		return "", records, nil
	}
	tenant = c.tenantOf(records[0])
	for _, r := range records {
		if c.tenantOf(r) == tenant {
			same = append(same, r)
		} else {
			others = append(others, r)
		}
	}
	return tenant, same, others
}

// tenantOf returns what a record's header says, as of an HTTP request: of several, all, which is no tenant.
func (c *Consumer) tenantOf(r *kgo.Record) string {
	name := ""
	for _, h := range r.Headers {
		if strings.EqualFold(h.Key, c.cfg.TenantHeader) && len(h.Value) > 0 {
			if name != "" {
				name += ", "
			}
			name += string(h.Value)
		}
	}
	if name == "" {
		return trace.DefaultTenant
	}
	return name
}

// group stores the records of one tenant.
func (w *writer) group(ctx context.Context, records []*kgo.Record) error {
	f := w.c.formatOf(records[0].Topic)
	limits := w.c.inlet.Limits(ctx)
	w.buf, w.ends = w.buf[:0], w.ends[:0]
	for _, r := range records {
		if len(r.Value) == 0 {
			continue // a tombstone
		}
		if int64(len(r.Value)) > w.c.cfg.BatchBytes {
			w.reject(r, trace.Errorf(trace.TooLarge, "has %d bytes; at most %d are taken", len(r.Value), w.c.cfg.BatchBytes))
			continue
		}
		out, err := f.append(w.buf, input{r.Value, r.Timestamp, limits})
		if err != nil {
			w.reject(r, err)
			continue
		}
		w.buf = out
		w.ends = append(w.ends, end{r, len(out)})
	}
	return w.write(ctx, 0, w.ends)
}

func (c *Consumer) formatOf(topic string) *format {
	for _, t := range c.cfg.Topics {
		if t.Name == topic {
			return formatNamed(t.Format)
		}
	}
	return formatNamed(c.cfg.Topics[0].Format) // there is no other topic that it could be
}

// write stores what lies in the buffer from a byte on. If that is not OTLP, it is told from the rest by halves.
func (w *writer) write(ctx context.Context, from int, ends []end) error {
	if len(ends) == 0 {
		return nil
	}
	raw := w.buf[from:ends[len(ends)-1].at]
	err := patiently(ctx, func() error {
		if err := w.batch.Index(raw, w.c.inlet.Limits(ctx)); err != nil { // anew each time: who processes a batch may have changed it
			return err
		}
		return w.c.inlet.Write(context.WithoutCancel(ctx), &w.batch)
	})
	switch {
	case err == nil:
		if n := w.batch.Refused.Total(); n > 0 {
			w.refused.add(ends[0].record.Offset, n, w.batch.Refused.First)
		}
		return nil
	case !final(err):
		return err
	case trace.KindOf(err) == trace.UnknownTenant, len(ends) == 1:
		for _, e := range ends {
			w.reject(e.record, err)
		}
		return nil
	}
	half := len(ends) / 2
	if err := w.write(ctx, from, ends[:half]); err != nil {
		return err
	}
	return w.write(ctx, ends[half-1].at, ends[half:])
}

// final reports whether no later try can make an error better.
func final(err error) bool {
	switch trace.KindOf(err) {
	case trace.Invalid, trace.TooLarge, trace.UnknownTenant, trace.NotFound:
		return true
	}
	return false
}

// patiently tries again what fails, unless that is final, for as long as a round can wait.
func patiently(ctx context.Context, try func() error) error {
	wait := 50 * time.Millisecond
	for begin := time.Now(); ; wait = min(2*wait, time.Second) {
		err := try()
		if err == nil || final(err) || time.Since(begin) > patience || ctx.Err() != nil {
			return err
		}
		sleep(ctx, wait)
	}
}

func (w *writer) reject(r *kgo.Record, err error) {
	w.poison = append(w.poison, poison{r, trace.ErrorOf(err)})
}

// bury does with a piece's poison what is to be done with it.
func (w *writer) bury(ctx context.Context) error {
	if w.c.cfg.DeadLetter != "" && len(w.poison) > 0 {
		if err := w.c.deadLetters(ctx, w.poison); err != nil {
			w.c.metrics.errors.WithLabelValues("dead_letter").Inc()
			return &trace.Error{Kind: trace.Busy, Msg: "write to the topic " + w.c.cfg.DeadLetter, Err: err}
		}
	}
	for _, p := range w.poison {
		reason := p.err.Kind.String()
		if p.err.Kind != trace.UnknownTenant { // its spans are counted as refused
			w.c.inlet.Meter.RefuseRequest(w.c.inlet.Protocol, reason)
		}
		w.c.metrics.skipped.WithLabelValues(p.record.Topic, reason).Inc()
		w.buried.add(p.record.Offset, 1, p.err.Msg)
	}
	return nil
}

// deadLetters writes records as they are to the topic for them, with headers that say where they were and why they are there. One that
// is too large for the topic is lost to it.
func (c *Consumer) deadLetters(ctx context.Context, all []poison) error {
	out, was := make([]*kgo.Record, len(all)), map[*kgo.Record]*kgo.Record{}
	for i, p := range all {
		r := p.record
		header := func(k, v string) kgo.RecordHeader { return kgo.RecordHeader{Key: k, Value: []byte(v)} }
		out[i] = &kgo.Record{Topic: c.cfg.DeadLetter, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp, Headers: append(slices.Clip(r.Headers),
			header("clew-topic", r.Topic), header("clew-partition", strconv.Itoa(int(r.Partition))), header("clew-offset", strconv.FormatInt(r.Offset, 10)),
			header("clew-reason", p.err.Kind.String()), header("clew-error", p.err.Msg))}
		was[out[i]] = r
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	return c.produced(c.client.ProduceSync(ctx, out...), was)
}

// produced counts dead letters, whose results come in the order in which they ended, by the records that they were.
func (c *Consumer) produced(results kgo.ProduceResults, was map[*kgo.Record]*kgo.Record) error {
	for _, result := range results {
		r := was[result.Record]
		switch {
		case errors.Is(result.Err, kerr.MessageTooLarge):
			c.log.Warn("a record is too large for the topic of dead letters", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "bytes", len(r.Value))
		case result.Err != nil:
			return result.Err
		default:
			c.metrics.deadLetters.WithLabelValues(r.Topic).Inc()
		}
	}
	return nil
}

// report logs what a share's records had wrong: a line for all, since a producer that is wrong is wrong all the time.
func (w *writer) report(p place) {
	if n := &w.buried; n.count > 0 {
		w.c.log.Warn("records were skipped", "topic", p.topic, "partition", p.partition, "offset", n.first, "last", n.last, "count", n.count, "first", n.why)
	}
	if n := &w.refused; n.count > 0 {
		w.c.log.Warn("spans were refused", "topic", p.topic, "partition", p.partition, "offset", n.first, "last", n.last, "count", n.count, "first", n.why)
	}
	w.buried, w.refused = notes{}, notes{}
}
