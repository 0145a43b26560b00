package spool

import "github.com/clewtrace/clew/trace"

// groupScan is a group that is being looked through, the newest of its traces first: who wants a few traces has enough after a few stretches.
type groupScan struct {
	*group
	round    int      // of the reader: what was read in an earlier one is no longer there
	left     int      // traces that were not looked at
	lasts    []uint64 // by stretch of traces: the latest start in it and in all before
	tests    [][]test // by shape
	possible []bool   // by shape
}

// stretchTraces is how many traces of a group are looked at together.
const stretchTraces = 64

// group looks for matches in the newest stretch that is left of a group. What is damaged is reported and left out. It returns false
// when more is left.
func (sn *scanner) group(p *part) (whole bool) {
	if p.scan == nil {
		ok, read := p.group.block.mayHave(p.group.index, sn.sought)
		if sn.reader.read += read; !ok {
			return true
		}
		sn.rep.Groups++
		if !sn.blocks[p.group.block] {
			sn.blocks[p.group.block] = true
			sn.rep.Blocks++
		}
	}
	if p.scan == nil || p.scan.round != sn.reader.round {
		if p.scan = sn.open(p.group, p.scan); p.scan == nil {
			return true
		}
	}
	g := p.scan
	stretch := (g.left - 1) / stretchTraces
	for ; g.left > stretch*stretchTraces; g.left-- { // the heap has least to do when the newest come first
		if t := &g.traces[g.left-1]; !sn.seen[t.id] && sn.matches(g, g.left-1) {
			sn.found(t.id, t.start)
		}
	}
	if g.left == 0 {
		return true
	}
	p.last = g.lasts[stretch-1]
	return false
}

// open begins to look through a group, or goes on where an earlier round of the reader left off.
func (sn *scanner) open(at groupAt, earlier *groupScan) *groupScan {
	read, err := sn.reader.group(at)
	if err != nil {
		sn.damaged()
		return nil
	}
	g := &groupScan{group: read, round: sn.reader.round, tests: make([][]test, len(read.shapes)), possible: make([]bool, len(read.shapes))}
	m := newMatcher(g.rows, condsOf(sn.sought))
	for k := range g.shapes {
		if m.mayBe(&g.shapes[k]) {
			g.tests[k], g.possible[k] = m.tests(g.rowsOf(uint32(k)))
		}
	}
	if earlier != nil {
		g.left, g.lasts = earlier.left, earlier.lasts
		return g
	}
	sn.rep.Keep(g.possible)
	g.left = len(g.traces)
	last := uint64(0)
	for i := range g.traces { // the parts of a large trace may be out of order
		if last = max(last, g.traces[i].start); i%stretchTraces == stretchTraces-1 {
			g.lasts = append(g.lasts, last)
		}
	}
	return g
}

const damagedPart = "a damaged part of a block was left out"

func (sn *scanner) damaged() { sn.rep.Incomplete = damagedPart }

// matches reports whether a span of trace i of a group meets the conditions.
func (sn *scanner) matches(g *groupScan, i int) bool {
	first := g.firsts[g.offsets[i]:g.offsets[i+1]]
	for k, s := range g.list[g.traces[i].template].shapes {
		if !g.possible[s] {
			continue
		}
		rows := g.shape(s)
		if rows == nil {
			g.possible[s] = false
			sn.damaged()
			continue
		}
		ok, err := sn.inRange(rows, g.traces[i].start, int(first[k]))
		if ok {
			ok, err = all(g.tests[s], int(first[k]))
		}
		if err != nil {
			g.possible[s] = false
			sn.damaged()
			g.damaged(s, err)
			continue
		}
		if ok {
			return true
		}
	}
	return false
}

// inRange reports whether the span in a row of a group starts in the range asked for; the start column is read when it may not.
func (sn *scanner) inRange(s *shapeRows, base uint64, row int) (bool, error) {
	if sn.scan.Range == (trace.Range{}) {
		return true, nil
	}
	if err := sn.reader.z.Load(&s.start, s.n); err != nil {
		return false, err
	}
	return sn.scan.Range.Contains(base + s.start.Nums[row]), nil
}
