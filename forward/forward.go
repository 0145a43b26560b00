package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// Sink takes batches and keeps nothing of them. A nil error says that the batch is on disk.
type Sink interface {
	Append(ctx context.Context, b *trace.Batch) error
}

// Forwarder stores batches and sends them on.
type Forwarder struct {
	next Sink
	hold func(int64) (func(), error)
	id   serverID
	to   []*destination
	log  *slog.Logger

	closing chan struct{}
	saver   sync.WaitGroup

	running sync.RWMutex // held by each Append, and by Close when there are none
	closed  bool
}

// Options are what a Forwarder works with.
type Options struct {
	Dir  string // of the queues, a folder each
	Next Sink   // where batches are stored
	Log  *slog.Logger
	Reg  prometheus.Registerer
	Hold func(bytes int64) (release func(), err error) // counts memory that a batch takes until it is in the queues
	Disk *wal.Disk                                     // nil: one without faults
}

// Open opens the queues and begins to send what they have. The destinations must be valid and have names of their own.
func Open(to []Config, o Options) (*Forwarder, error) {
	if o.Disk == nil {
		o.Disk = &wal.Disk{}
	}
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, err
	}
	f := &Forwarder{next: o.Next, hold: o.Hold, log: o.Log, closing: make(chan struct{})}
	var err error
	if f.id, err = readID(o.Disk, o.Dir); err != nil {
		return nil, err
	}
	m := newMeter(o.Reg)
	for _, c := range to {
		d, err := openDestination(c, o, m)
		if err != nil {
			_ = f.Close(canceled()) // what was opened before
			return nil, fmt.Errorf("destination %s: %w", c.Name, err)
		}
		f.to = append(f.to, d)
	}
	f.warnOfOthers(o.Dir)
	f.saver.Go(f.save)
	return f, nil
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func openDestination(c Config, o Options, m *meter) (*destination, error) {
	cl, err := newClient(&c)
	if err != nil {
		return nil, err
	}
	d := &destination{Config: c, client: cl, meter: m, log: o.Log, ended: make(chan struct{}), draining: make(chan struct{})}
	d.sieve.New = func() any { return newSieve(&d.Filter) }
	d.queue = &queue{
		disk: o.Disk, dir: filepath.Join(o.Dir, c.Name), limit: c.QueueBytes, keep: c.OnFull == Refuse, log: o.Log,
		drop: func(reason string, spans int) { m.dropped(c.Name, reason, spans) },
	}
	if err := openQueue(d.queue); err != nil {
		return nil, err
	}
	m.announce(o.Reg, d)
	if s := d.queue.state(time.Now()); s.spans > 0 {
		o.Log.Info("spans wait in the queue since before the start", "destination", c.Name, "spans", s.spans, "bytes", s.bytes)
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	go d.run(ctx)
	return d, nil
}

// warnOfOthers tells of queues whose destination is configured no longer.
func (f *Forwarder) warnOfOthers(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		f.log.Warn("the queues' folder cannot be listed", "err", err)
	}
	for _, e := range entries {
		known := slices.ContainsFunc(f.to, func(d *destination) bool { return d.Name == e.Name() })
		if e.IsDir() && !known {
			f.log.Warn("a queue has no destination of its name; delete its folder if it is not to come back", "dir", filepath.Join(dir, e.Name()))
		}
	}
}

// save writes the queues' positions down, once a second.
func (f *Forwarder) save() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-f.closing:
			return
		case <-tick.C:
			for _, d := range f.to {
				if err := d.queue.save(); err != nil {
					f.log.Error("the queue's position cannot be written; a crash now sends more of it once more", "destination", d.Name, "err", err)
				}
			}
		}
	}
}

// Append stores a batch and puts it into the queues of the destinations whose filters it passes. Its error is of the store, or of kind Busy
// if a queue is full whose senders are to wait. A queue that cannot be written drops the batch, is counted, and no concern of the sender's:
// the batch is stored.
func (f *Forwarder) Append(ctx context.Context, b *trace.Batch) error {
	f.running.RLock()
	defer f.running.RUnlock()
	if f.closed { // its connection is cut off already, most likely
		return &trace.Error{Kind: trace.Busy, Msg: "the server is stopping; send again later", After: time.Second}
	}
	o := origin{trace.TenantOf(ctx), viaOf(ctx)}
	if o.via.round(f.id) {
		for _, d := range f.to {
			d.meter.dropped(d.Name, droppedLoop, len(b.Spans))
		}
		return f.next.Append(ctx, b)
	}
	o.via = append(slices.Clip(o.via), f.id)
	free, err := f.hold(int64(len(f.to) * len(b.Raw))) // the records are copies
	if err != nil {
		return err
	}
	defer free()
	parcels := make([]parcel, len(f.to))
	for i, d := range f.to {
		parcels[i] = parcel{destination: d}
		if err := parcels[i].pack(&o, b); err != nil {
			return err
		}
	}
	release, err := reserve(parcels)
	if err != nil {
		return err
	}
	defer release()
	if err := f.next.Append(ctx, b); err != nil {
		return err
	}
	var work sync.WaitGroup
	for i := range parcels {
		if i == len(parcels)-1 {
			parcels[i].post() // here: one destination is the rule
			continue
		}
		work.Go(parcels[i].post)
	}
	work.Wait()
	return nil
}

// parcel is the records of a batch for one destination.
type parcel struct {
	*destination
	records [][]byte
	spans   []int
	bytes   int64
}

// pack fills a parcel with those spans of a batch that pass the filter.
func (p *parcel) pack(o *origin, b *trace.Batch) error {
	s := p.sieve.Get().(*sieve)
	defer p.sieve.Put(s)
	if len(b.Spans) == 0 || !s.tenant(o.tenant) {
		return nil
	}
	head := record{origin: *o, at: time.Now()}
	add := func(otlp []byte, spans int) error {
		head.otlp, head.spans = otlp, spans
		r := head.append(make([]byte, 0, recordHead+len(o.tenant)+len(o.via)*len(serverID{})+len(otlp)))
		p.records, p.spans, p.bytes = append(p.records, r), append(p.spans, spans), p.bytes+wal.RecordHeader+int64(len(r))
		return nil
	}
	if s.all() && int64(len(b.Raw)) <= p.BatchBytes {
		return add(b.Raw, len(b.Spans))
	}
	if err := s.begin(b); err != nil {
		return err
	}
	switch n := s.count(b); {
	case n == 0:
		return nil
	case n == len(b.Spans) && int64(len(b.Raw)) <= p.BatchBytes:
		return add(b.Raw, n)
	}
	split := splitter{max: int(p.BatchBytes), keep: func(n int) bool { return s.passes(b, n) }, emit: add}
	return split.split(b.Raw)
}

// reserve takes room in the queues that refuse what they have no room for.
func reserve(parcels []parcel) (release func(), err error) {
	var taken []func()
	release = func() {
		for _, fn := range taken {
			fn()
		}
	}
	for i := range parcels {
		p := &parcels[i]
		if p.OnFull != Refuse || p.bytes == 0 {
			continue
		}
		fn, ok := p.queue.reserve(p.bytes)
		if !ok {
			release()
			return nil, &trace.Error{Kind: trace.Busy, Msg: "the queue of forwarding to " + p.Name + " is full; send again later", After: time.Second}
		}
		taken = append(taken, fn)
	}
	return release, nil
}

// post puts a parcel into its queue.
func (p *parcel) post() {
	if len(p.records) == 0 {
		return
	}
	total := 0
	for _, n := range p.spans {
		total += n
	}
	p.meter.queued(p.Name, total)
	if err := p.queue.add(p.records, p.spans); err != nil {
		p.log.Error("spans cannot be put into the queue, and are dropped", "destination", p.Name, "err", err)
	}
}

// Close sends what is left until ctx is done or a destination does not take it. The rest is sent after the next Open. Append refuses what
// comes from now on.
func (f *Forwarder) Close(ctx context.Context) error {
	f.running.Lock()
	f.closed = true
	f.running.Unlock()
	close(f.closing)
	f.saver.Wait()
	errs := make([]error, len(f.to))
	var work sync.WaitGroup
	for i, d := range f.to {
		work.Go(func() { errs[i] = d.drain(ctx) })
	}
	work.Wait()
	return errors.Join(errs...)
}
