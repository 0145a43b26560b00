package load

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// grace is how long requests under way may take to end when the sender is stopped.
const grace = 3 * time.Second

// maxReasons is how many reasons for refusals are told apart.
const maxReasons = 20

// Reason is what a server, or the way to it, had against spans.
type Reason struct {
	Spans   int64
	Example string // the first message
}

// Report says what has happened so far. Spans = Accepted + Refused + Failed + those under way.
type Report struct {
	Elapsed                 time.Duration
	Traces, Spans, Requests int64 // begun to be sent
	Bytes                   int64 // of Spans, not compressed
	WireBytes               int64 // of requests that were taken, as sent; 0 for gRPC that compresses
	Accepted                int64
	Refused                 int64 // spans for which the server said no for good
	Failed                  int64 // spans that it did not take in time
	Retries                 int64 // requests sent again
	Reasons                 map[string]Reason
	Latency                 Latency // of the last attempt at every request
}

// Rate returns the accepted spans a second.
func (r *Report) Rate() float64 { return float64(r.Accepted) / max(r.Elapsed.Seconds(), 1e-9) }

// Sender sends generated traces to a server.
type Sender struct {
	cfg  Config
	pace pace

	mu     sync.Mutex
	report Report
	begin  time.Time
	end    time.Time
}

// NewSender returns a sender of a valid configuration.
func NewSender(cfg Config) (*Sender, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Sender{cfg: cfg, pace: pace{rate: cfg.Rate}, report: Report{Reasons: map[string]Reason{}}}, nil
}

// Report returns what has happened so far. It may be called at any time.
func (s *Sender) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.report
	r.Reasons = make(map[string]Reason, len(s.report.Reasons))
	maps.Copy(r.Reasons, s.report.Reasons)
	switch {
	case s.begin.IsZero():
	case s.end.IsZero():
		r.Elapsed = time.Since(s.begin)
	default:
		r.Elapsed = s.end.Sub(s.begin)
	}
	return r
}

// Run sends until all is sent, the time is over or ctx is done, which is no error. What it was answered is in the report.
func (s *Sender) Run(ctx context.Context) error {
	s.mu.Lock()
	s.begin = time.Now()
	s.mu.Unlock()
	if s.cfg.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.cfg.Duration)
		defer cancel()
	}
	// Requests under way outlive ctx a little, so that what the server took is counted.
	hard, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, kill) })
	defer stop()
	var work errgroup.Group
	for i := range s.cfg.Connections {
		to, err := s.cfg.target()
		var t transport
		if err == nil {
			t, err = to.open(to)
		}
		if err != nil {
			kill()
			return errors.Join(err, work.Wait())
		}
		work.Go(func() error {
			s.stream(ctx, hard, line{t, to.protocol, New(s.cfg.Seed, i)})
			return t.close()
		})
	}
	err := work.Wait()
	s.mu.Lock()
	s.end = time.Now()
	s.mu.Unlock()
	return err
}

// line is a connection with the shop's traffic for it.
type line struct {
	transport
	protocol *protocol
	gen      *Generator
}

// stream sends one request after the other, each as late as the rate asks for.
func (s *Sender) stream(ctx, hard context.Context, l line) {
	batch := s.cfg.Batch * l.protocol.bundle()
	if s.cfg.Rate > 0 {
		// At a low rate a request has the spans of a second, not of minutes.
		batch = max(1, min(batch, int(s.cfg.Rate)))
	}
	var body []byte
	for !s.enough() {
		if !s.pace.wait(ctx, batch) {
			return
		}
		var made Made
		body, made = l.gen.Request(body[:0], batch, s.moment())
		s.pace.spent(made.Spans - batch)
		if !s.claim(made, len(body)) {
			return
		}
		parts, err := l.protocol.parts(body, made.Spans)
		if err != nil {
			s.rejected(request{spans: int64(made.Spans)}, &refusal{reason: "not encoded", message: err.Error()}, 0)
			return
		}
		for _, p := range parts {
			s.send(ctx, hard, request{l, p.body, int64(p.spans)})
		}
	}
}

// moment returns of when the next request's spans are.
func (s *Sender) moment() time.Time {
	if s.cfg.From.IsZero() {
		return time.Now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := float64(min(s.report.Spans, s.cfg.Spans)) / float64(s.cfg.Spans)
	return s.cfg.From.Add(time.Duration(sent * float64(s.cfg.Until.Sub(s.cfg.From))))
}

func (s *Sender) enough() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.Spans > 0 && s.report.Spans >= s.cfg.Spans
}

// claim counts a request as begun, unless enough has been sent.
func (s *Sender) claim(made Made, size int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Spans > 0 && s.report.Spans >= s.cfg.Spans {
		return false
	}
	s.report.Spans += int64(made.Spans)
	s.report.Traces += int64(made.Traces)
	s.report.Bytes += int64(size)
	return true
}

type request struct {
	line
	body  []byte
	spans int64
}

// send sends a request until the server takes it, refuses it for good, or patience is at an end.
func (s *Sender) send(ctx, hard context.Context, r request) {
	giveUp := time.Now().Add(s.cfg.Patience)
	pause := 100 * time.Millisecond
	s.mu.Lock()
	s.report.Requests++
	s.mu.Unlock()
	for {
		attempt, cancel := context.WithTimeout(hard, s.cfg.Timeout)
		begin := time.Now()
		a, err := r.export(attempt, r.body)
		took := time.Since(begin)
		cancel()
		if err == nil {
			s.accepted(r, a, took)
			return
		}
		no, ok := errors.AsType[*refusal](err)
		if !ok {
			no = &refusal{reason: "not sent", message: err.Error()}
		}
		wait := max(no.after, pause/2+rand.N(pause))
		if !no.again || ctx.Err() != nil || time.Now().Add(wait).After(giveUp) {
			s.rejected(r, no, took)
			return
		}
		if !sleep(ctx, wait) {
			s.rejected(r, no, took)
			return
		}
		pause = min(2*pause, 5*time.Second)
		s.mu.Lock()
		s.report.Retries++
		s.mu.Unlock()
	}
}

func (s *Sender) accepted(r request, a answer, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Latency.Add(took)
	s.report.WireBytes += int64(a.wire)
	rejected := min(max(a.rejected, 0), r.spans)
	s.report.Accepted += r.spans - rejected
	if rejected > 0 {
		s.report.Refused += rejected
		s.reason("partial success", a.message, rejected)
	}
}

func (s *Sender) rejected(r request, no *refusal, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Latency.Add(took)
	if no.again {
		s.report.Failed += r.spans
	} else {
		s.report.Refused += r.spans
	}
	s.reason(no.reason, no.message, r.spans)
}

// reason counts spans under a reason. s.mu is held.
func (s *Sender) reason(reason, message string, spans int64) {
	known, ok := s.report.Reasons[reason]
	if !ok {
		if len(s.report.Reasons) >= maxReasons {
			reason = "other reasons"
			known = s.report.Reasons[reason]
		}
		if known.Example == "" {
			known.Example = message
		}
	}
	known.Spans += spans
	s.report.Reasons[reason] = known
}

// pace hands out the moments at which spans may be sent.
type pace struct {
	rate float64
	mu   sync.Mutex
	next time.Time
}

// maxLag is how far behind the rate a sender may fall and catch up again; what it missed before is not sent.
const maxLag = time.Second

// wait waits until n spans may be sent; false if ctx is done before.
func (p *pace) wait(ctx context.Context, n int) bool {
	if p.rate <= 0 {
		return ctx.Err() == nil
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.IsZero() {
		p.next = now
	}
	if now.Sub(p.next) > maxLag {
		p.next = now.Add(-maxLag)
	}
	at := p.next
	p.next = at.Add(p.length(n))
	p.mu.Unlock()
	return sleep(ctx, time.Until(at))
}

// spent tells that n more spans were sent than had been waited for.
func (p *pace) spent(n int) {
	if p.rate > 0 {
		p.mu.Lock()
		p.next = p.next.Add(p.length(n))
		p.mu.Unlock()
	}
}

func (p *pace) length(n int) time.Duration {
	return time.Duration(float64(n) / p.rate * float64(time.Second))
}

// sleep returns false if ctx was done before the time was over.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
