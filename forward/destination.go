package forward

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// attempts is how often a request is tried whose spans may be at fault.
const attempts = 10

// destination is a queue and what empties it.
type destination struct {
	Config
	queue  *queue
	client *client
	sieve  sync.Pool // *sieve
	meter  *meter
	log    *slog.Logger

	stop     context.CancelFunc // ends all sending
	ended    chan struct{}
	draining chan struct{} // closed when the rest is to be sent and no more comes
	stuck    atomic.Bool   // an attempt failed while draining: what is left is for the next start
	failing  atomic.Int64  // Unix ns of the last warning that requests fail; 0: they do not
}

// run sends what is in the queue until it is told to stop. Order is not kept when concurrency is above one, nor when a request is tried again.
func (d *destination) run(ctx context.Context) {
	defer close(d.ended)
	var work sync.WaitGroup
	defer work.Wait()
	slots := make(chan struct{}, d.Concurrency)
	for {
		select {
		case slots <- struct{}{}: // first: while all are busy, records gather, and go together
		case <-ctx.Done():
			return
		}
		j, ok := d.queue.take(ctx, d.BatchBytes)
		if !ok {
			return
		}
		work.Go(func() {
			if d.deliver(ctx, &j.origin, j.otlp, j.spans) {
				d.queue.finish(j)
			}
			<-slots
		})
	}
}

// deliver sends OTLP spans in as many requests as the protocol wants, and returns false if it was stopped before all were done with.
func (d *destination) deliver(ctx context.Context, o *origin, otlp []byte, spans int) bool {
	if !perResource(d.Protocol) {
		return d.deliverOne(ctx, o, otlp, spans)
	}
	return d.deliverParts(ctx, o, otlp, splitter{max: int(d.BatchBytes), alone: true})
}

// deliverParts sends spans in the parts that a splitter makes of them.
func (d *destination) deliverParts(ctx context.Context, o *origin, otlp []byte, s splitter) bool {
	whole := true
	s.emit = func(part []byte, n int) error {
		whole = whole && d.deliverOne(ctx, o, part, n)
		return nil
	}
	_ = s.split(otlp) // it is what has been indexed before
	return whole
}

// deliverOne sends spans in one request, again and again if need be, or in several if it is too large.
func (d *destination) deliverOne(ctx context.Context, o *origin, otlp []byte, spans int) bool {
	body, err := encode(d.Protocol, otlp)
	if err != nil { // our fault, and it would be tomorrow
		d.log.Error("spans cannot be written in the destination's format", "destination", d.Name, "spans", spans, "err", err)
		d.meter.dropped(d.Name, droppedEncoding, spans)
		return true
	}
	r := &request{origin: *o, body: body, spans: spans}
	for n := 1; ; n++ {
		a := d.client.send(ctx, r)
		if ctx.Err() != nil && a.fate != accepted {
			return false
		}
		switch {
		case a.fate == accepted:
			d.accept(r, a)
			return true
		case a.fate == tooLarge && spans > 1:
			d.meter.failed(d.Name, a.code)
			return d.deliverParts(ctx, o, otlp, splitter{max: len(otlp) / 2})
		case a.fate == refused, a.fate == tooLarge, a.fate == unsure && n == attempts:
			d.meter.failed(d.Name, a.code)
			d.refuse(r, a)
			return true
		}
		d.meter.failed(d.Name, a.code)
		d.complain(a)
		if !d.pause(ctx, n, a.after) {
			return false
		}
		d.meter.retried(d.Name)
	}
}

func (d *destination) accept(r *request, a answer) {
	rejected := min(a.rejected, r.spans)
	d.meter.sent(d.Name, r.spans-rejected)
	if rejected > 0 {
		d.meter.dropped(d.Name, droppedRejected, rejected)
		d.log.Warn("the destination took a part of the spans only", "destination", d.Name, "rejected", rejected, "of", r.spans, "answer", a.text)
	}
	if d.failing.Swap(0) != 0 {
		d.log.Info("the destination takes spans again", "destination", d.Name)
	}
}

func (d *destination) refuse(r *request, a answer) {
	reason := map[fate]string{refused: droppedRefused, tooLarge: droppedTooLarge, unsure: droppedFailed}[a.fate]
	d.meter.dropped(d.Name, reason, r.spans)
	d.log.Warn("spans are dropped, for sending them again is useless", "destination", d.Name, "spans", r.spans, "reason", reason, "answer", a.text)
}

// complain warns that requests fail, once a minute.
func (d *destination) complain(a answer) {
	last, now := d.failing.Load(), time.Now().UnixNano()
	if (last == 0 || now-last > int64(time.Minute)) && d.failing.CompareAndSwap(last, now) {
		d.log.Warn("spans cannot be sent now; they wait in the queue", "destination", d.Name, "endpoint", d.Endpoint, "answer", a.text)
	}
}

// pause waits before the attempt behind the nth: as long as the destination asks for, else twice as long each time, less up to half of it, so
// that those who failed together do not come back together. It returns false if sending has come to an end.
func (d *destination) pause(ctx context.Context, n int, after time.Duration) bool {
	wait := min(d.RetryMin<<min(n-1, 20), d.RetryMax)
	wait -= rand.N(wait/2 + 1)
	if after > 0 { // but not longer than a day, whatever it says
		wait = min(after, 24*time.Hour) + rand.N(after/10+1)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for draining := d.draining; ; {
		select {
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		case <-draining: // it does not take spans now, and a stop is no time to wait
			d.stuck.Store(true)
			draining = nil
		}
	}
}

// drain waits until the queue is empty, an attempt fails, or ctx is done, and then ends. Nothing may be added any more.
func (d *destination) drain(ctx context.Context) error {
	close(d.draining)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil && !d.stuck.Load() && d.queue.state(time.Now()).spans > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	d.stop()
	<-d.ended
	if left := d.queue.state(time.Now()).spans; left > 0 {
		d.log.Info("spans stay in the queue until the next start", "destination", d.Name, "spans", left)
	}
	d.client.close()
	return d.queue.close()
}
