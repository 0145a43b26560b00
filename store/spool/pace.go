package spool

import (
	"context"
	"time"
)

// A pace holds merging to its share of a core and of the disk: between two steps it rests as long as the budget asks for. Fronts that
// wait to become blocks are cut meanwhile, since those who append wait for that.
type pace struct {
	ctx   context.Context
	spool *Spool
	begun time.Time // of the step
	moved int64     // bytes read and written in it
}

// A step is work for so long, or on so many bytes.
const (
	stepTime  = 20 * time.Millisecond
	stepBytes = 4 << 20
)

func (s *Spool) newPace(ctx context.Context) *pace {
	return &pace{ctx: ctx, spool: s, begun: time.Now()}
}

// step is told of work that was done, and rests when it is time to. The error is the context's, or says why no block can be written.
func (p *pace) step(bytes int64) error {
	p.moved += bytes
	work := time.Since(p.begun)
	if work < stepTime && p.moved < stepBytes {
		return p.ctx.Err()
	}
	cfg := &p.spool.cfg
	rest := work * time.Duration(100-cfg.MergeCPU) / time.Duration(cfg.MergeCPU)
	if cfg.MergeRate > 0 {
		rest = max(rest, time.Duration(float64(p.moved)/float64(cfg.MergeRate)*float64(time.Second))-work)
	}
	if err := p.rest(rest); err != nil {
		return err
	}
	p.begun, p.moved = time.Now(), 0
	return nil
}

func (p *pace) rest(d time.Duration) error {
	over := time.NewTimer(d)
	defer over.Stop()
	for {
		if err := p.spool.cutAll(); err != nil {
			return err
		}
		select {
		case <-p.ctx.Done():
			return p.ctx.Err()
		case <-over.C:
			return nil
		case <-p.spool.wake:
		}
	}
}
