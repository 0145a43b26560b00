package jaeger

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
)

// series is the spans of one service, or operation, counted by points. A span counts for many neighbouring points, so that what is kept
// is where its count begins and ends.
type series struct {
	key           [2]string // service and operation
	calls, errors []int32   // what changes at a point, and at the one behind the last
	cells         map[cell]uint32
}

// cell is spans that count for the same points, with about the same duration.
type cell struct {
	lo, hi uint16 // maxPoints fits
	bucket uint16
}

func newSeries(key [2]string, points int) *series {
	return &series{key: key, calls: make([]int32, points+1), errors: make([]int32, points+1)}
}

func (s *series) takeCall(c call, lo, hi int) {
	s.calls[lo]++
	s.calls[hi]--
	if c.failed {
		s.errors[lo]++
		s.errors[hi]--
	}
}

func (s *series) takeDuration(c call, lo, hi int) {
	if s.cells == nil {
		s.cells = map[cell]uint32{}
	}
	s.cells[cell{uint16(lo), uint16(hi), bucketOf(c.took)}]++
}

// merge adds what another series of the same points has.
func (s *series) merge(other *series) {
	for k := range other.calls {
		s.calls[k] += other.calls[k]
		s.errors[k] += other.errors[k]
	}
	if s.cells == nil {
		s.cells = other.cells
		return
	}
	for c, n := range other.cells {
		s.cells[c] += n
	}
}

func (s *series) callRates(q *metricsQuery) []float64 {
	out, calls := make([]float64, q.points()), 0
	for k := range out {
		calls += int(s.calls[k])
		out[k] = float64(calls) / time.Duration(q.ratePer).Seconds()
	}
	return out
}

func (s *series) errorRates(q *metricsQuery) []float64 {
	out, calls, errors := make([]float64, q.points()), 0, 0
	for k := range out {
		calls, errors = calls+int(s.calls[k]), errors+int(s.errors[k])
		out[k] = float64(errors) / float64(calls) // NaN without calls
	}
	return out
}

// perOctave is how many buckets of durations there are from one to twice it: a quantile is off by 4 per cent at most.
const perOctave = 16

// bucketOf returns the bucket of a duration: 0 for none, then from 1 ns on.
func bucketOf(d time.Duration) uint16 {
	if d <= 0 {
		return 0
	}
	return 1 + uint16(math.Log2(float64(d))*perOctave)
}

// lowest returns the duration, in ms, at which a bucket begins.
func lowest(bucket int) float64 {
	if bucket <= 0 {
		return 0
	}
	return math.Exp2(float64(bucket-1)/perOctave) / 1e6
}

// quantiles returns a quantile of the durations at each point, in ms, between the bounds of its bucket; NaN where no span counts.
func (s *series) quantiles(points int, quantile float64) []float64 {
	const buckets = 2 + 63*perOctave
	begins, ends := make([]cell, 0, len(s.cells)), make([]cell, 0, len(s.cells))
	for c := range s.cells {
		begins, ends = append(begins, c), append(ends, c)
	}
	slices.SortFunc(begins, func(a, b cell) int { return int(a.lo) - int(b.lo) })
	slices.SortFunc(ends, func(a, b cell) int { return int(a.hi) - int(b.hi) })
	var counts [buckets]uint64
	out, total := make([]float64, points), uint64(0)
	for k := range out {
		for ; len(begins) > 0 && int(begins[0].lo) == k; begins = begins[1:] {
			counts[begins[0].bucket] += uint64(s.cells[begins[0]])
			total += uint64(s.cells[begins[0]])
		}
		for ; len(ends) > 0 && int(ends[0].hi) == k; ends = ends[1:] {
			counts[ends[0].bucket] -= uint64(s.cells[ends[0]])
			total -= uint64(s.cells[ends[0]])
		}
		out[k] = quantileOf(counts[:], quantile*float64(total))
	}
	return out
}

// quantileOf returns the duration of which so many are shorter; NaN if there are none at all.
func quantileOf(counts []uint64, rank float64) float64 {
	below, last := 0.0, math.NaN()
	for i, n := range counts {
		if n == 0 {
			continue
		}
		lo, hi := lowest(i), lowest(i+1)
		if last = hi; below+float64(n) >= rank {
			return lo + (hi-lo)*(rank-below)/float64(n)
		}
		below += float64(n)
	}
	return last
}

// family returns series as Jaeger's MetricFamily, in protobuf's JSON:
//
//	{"name":"service_call_rate","type":"GAUGE","help":"…","metrics":[{"labels":[{"name":"service_name","value":"shop"}],
//	 "metricPoints":[{"gaugeValue":{"doubleValue":1.5},"timestamp":"2026-01-02T03:04:05Z"}]}]}
//
// The value of a point that has none is "NaN".
func family(ctx context.Context, q *metricsQuery, m measure, all []*series) ([]byte, error) {
	list := api.List{Held: trace.BudgetOf(ctx)}
	stamps := timestamps(q)
	for _, s := range all {
		b := append([]byte(`{"labels":[`), label("service_name", s.key[0])...)
		if q.byOperation {
			b = append(append(b, ','), label("operation", s.key[1])...)
		}
		b = append(b, `],"metricPoints":[`...)
		for k, v := range m.values(s, q) {
			if k > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"gaugeValue":{"doubleValue":`...)
			if math.IsNaN(v) {
				b = append(b, `"NaN"`...)
			} else {
				b = strconv.AppendFloat(b, v, 'g', -1, 64)
			}
			b = append(append(append(b, `},"timestamp":"`...), stamps[k]...), `"}`...)
		}
		if err := list.Add(append(b, "]}"...)); err != nil {
			return nil, err
		}
	}
	head, err := json.Marshal(struct {
		Name string `json:"name"`
		Type string `json:"type"`
		Help string `json:"help"`
	}{m.name, "GAUGE", m.help})
	if err != nil {
		return nil, err
	}
	return list.JSON(string(head[:len(head)-1])+`,"metrics":`, "}"), nil
}

func label(name, value string) []byte {
	b, err := json.Marshal(struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}{name, value})
	if err != nil { // texts alone
		panic(err)
	}
	return b
}

// timestamps returns the times of the points as protobuf's JSON has them.
func timestamps(q *metricsQuery) []string {
	out := make([]string, q.points())
	for k := range out {
		out[k] = time.Unix(0, q.start+int64(k)*q.step).UTC().Format(time.RFC3339Nano)
	}
	return out
}
