package jaeger

import (
	"net/http"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
)

// Jaeger's page has a tab on how good the traces are in which a service takes part. Jaeger computes it in a job of its own, or shows made-up
// numbers; here it is counted in the newest traces.

const (
	defaultQualityHours = 24
	maxQualityHours     = 24 * 366
	maxExamples         = 5 // traces, and spans of each
)

// quality is the answer, as Jaeger's page reads it.
type quality struct {
	Link    string          `json:"traceQualityDocumentationLink"`
	Scores  []score         `json:"scores"`
	Metrics []qualityMetric `json:"metrics"`
}

type score struct {
	Key   string `json:"key"`
	Label string `json:"label"`
	Max   int    `json:"max"`
	Value int    `json:"value"`
}

type qualityMetric struct {
	Name            string     `json:"name"`
	Category        string     `json:"category"` // a score's key
	Description     string     `json:"description"`
	Link            string     `json:"metricDocumentationLink"`
	Weight          float64    `json:"metricWeight"` // of the score; all of one are 1 together
	PassCount       int        `json:"passCount"`
	PassExamples    []example  `json:"passExamples"`
	FailureCount    int        `json:"failureCount"`
	FailureExamples []example  `json:"failureExamples"`
	Details         []struct{} `json:"details"`
}

type example struct {
	TraceID string   `json:"traceID"`
	SpanIDs []string `json:"spanIDs,omitempty"`
}

// checked is a span of the service, with its parent if that is there, and how many have its ID, the other side of a call aside.
type checked struct {
	span, parent *trace.Span
	same         int
}

// check is one thing that a span is looked at for.
type check struct {
	metric qualityMetric
	passes func(c *checked) (passes, applies bool)
}

// checks are all, with what each is for.
func checks() []check {
	always := func(ok func(c *checked) bool) func(*checked) (bool, bool) {
		return func(c *checked) (bool, bool) { return ok(c), true }
	}
	return []check{
		{
			qualityMetric{Name: "Parent is there", Category: "completeness", Weight: 1, Description: "The span's parent has arrived, or it is a root."},
			always(func(c *checked) bool { return c.span.Parent.IsZero() || c.parent != nil }),
		},
		{
			qualityMetric{Name: "ID is its own", Category: "quality", Weight: 0.25, Description: "No other span of the trace has the span's ID, but for the other side of a call."},
			always(func(c *checked) bool {
				return c.same == 1 || c.same == 2 && c.parent != nil && c.parent.ID == c.span.ID
			}),
		},
		{
			qualityMetric{Name: "Kind is given", Category: "quality", Weight: 0.25, Description: "The span says whether it is a server's, a client's, a producer's, a consumer's, or internal."},
			always(func(c *checked) bool { return c.span.Kind != trace.KindUnspecified }),
		},
		{
			qualityMetric{Name: "Ends after it starts", Category: "quality", Weight: 0.25, Description: "The span does not end before it starts."},
			always(func(c *checked) bool { return c.span.End >= c.span.Start }),
		},
		{
			qualityMetric{Name: "Clocks agree", Category: "quality", Weight: 0.25, Description: "A span that serves a call of another service starts after that call, and before its end."},
			func(c *checked) (bool, bool) {
				if c.parent == nil || c.parent.Kind != trace.KindClient || c.parent.Service() == c.span.Service() {
					return false, false
				}
				return c.span.Start >= c.parent.Start && c.span.Start <= c.parent.End, true
			},
		},
	}
}

func (a *API) quality(r *http.Request) (api.Answer, error) {
	form := r.URL.Query()
	service := form.Get("service")
	if service == "" {
		return api.Answer{}, trace.Errorf(trace.Invalid, "parameter 'service' is required")
	}
	hours, ok, err := number(form, "hours", "hours")
	if err == nil && ok && (hours < 1 || hours > maxQualityHours) {
		err = trace.Errorf(trace.Invalid, "unable to parse param 'hours': %d is not from 1 to %d", hours, maxQualityHours)
	}
	if err != nil {
		return api.Answer{}, err
	}
	if !ok {
		hours = defaultQualityHours
	}
	now := time.Now()
	when := trace.Range{From: uint64(now.Add(-time.Duration(hours) * time.Hour).UnixNano()), To: uint64(now.UnixNano())}
	is := trace.Cond{Field: trace.FieldService, Op: trace.OpEqual, Value: trace.String(service)}
	list := checks()
	why, err := a.engine.Newest(r.Context(), trace.Scan{Range: when, Spans: [][]trace.Cond{{is}}, Outline: true}, func(t *trace.Trace) {
		inspect(t, service, list)
	})
	if err != nil {
		return api.Answer{}, err
	}
	return api.Answer{Value: scored(list)}.Incomplete(why), nil
}

// inspect checks the spans of a service in a trace.
func inspect(t *trace.Trace, service string, list []check) {
	tree, same, id := trace.Arrange(t.Spans), map[trace.SpanID]int{}, t.ID.String()
	for _, row := range tree.Rows {
		if row.Span >= 0 && (row.Parent < 0 || tree.Rows[row.Parent].ID != row.ID) { // else it is the other side of a call
			same[row.ID]++
		}
	}
	for _, row := range tree.Rows {
		if row.Span < 0 || t.Spans[row.Span].Service() != service {
			continue
		}
		c := checked{span: &t.Spans[row.Span], same: same[row.ID]}
		if row.Parent >= 0 && tree.Rows[row.Parent].Span >= 0 {
			c.parent = &t.Spans[tree.Rows[row.Parent].Span]
		}
		for i := range list {
			passes, applies := list[i].passes(&c)
			if applies {
				list[i].metric.count(passes, id, row.ID)
			}
		}
	}
}

func (m *qualityMetric) count(passes bool, id string, span trace.SpanID) {
	n, examples := &m.FailureCount, &m.FailureExamples
	if passes {
		n, examples = &m.PassCount, &m.PassExamples
	}
	*n++
	switch last := len(*examples) - 1; {
	case last >= 0 && (*examples)[last].TraceID == id:
		if e := &(*examples)[last]; len(e.SpanIDs) < maxExamples {
			e.SpanIDs = append(e.SpanIDs, span.String())
		}
	case last < maxExamples-1:
		*examples = append(*examples, example{id, []string{span.String()}})
	}
}

// scored returns the answer: of each score, what share of the spans passes, in per cent; 0 without spans.
func scored(list []check) quality {
	scores := []score{{Key: "completeness", Label: "Completeness", Max: 100}, {Key: "quality", Label: "Quality", Max: 100}}
	out := quality{Link: "https://github.com/jaegertracing/jaeger-analytics-java#trace-quality-metrics"}
	for i := range scores {
		sum, weight := 0.0, 0.0
		for _, c := range list {
			if n := c.metric.PassCount + c.metric.FailureCount; c.metric.Category == scores[i].Key && n > 0 {
				sum += c.metric.Weight * float64(c.metric.PassCount) / float64(n)
				weight += c.metric.Weight
			}
		}
		if weight > 0 {
			scores[i].Value = int(100 * sum / weight)
		}
	}
	out.Scores = scores
	for _, c := range list {
		c.metric.Details = []struct{}{}
		c.metric.PassExamples = append([]example{}, c.metric.PassExamples...)
		c.metric.FailureExamples = append([]example{}, c.metric.FailureExamples...)
		out.Metrics = append(out.Metrics, c.metric)
	}
	return out
}
