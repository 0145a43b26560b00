package tempo

import (
	"math"
	"strconv"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/otlp"
)

// object appends a JSON object's members, in protobuf's mapping: 64-bit numbers are text, and what is zero is left out.
type object struct {
	b   []byte
	any bool
}

func open(b []byte) object { return object{b: append(b, '{')} }

func (o *object) close() []byte { return append(o.b, '}') }

func (o *object) key(k string) {
	if o.any {
		o.b = append(o.b, ',')
	}
	o.any = true
	o.b = append(append(append(o.b, '"'), k...), '"', ':')
}

func (o *object) text(k, v string) {
	if v != "" {
		o.key(k)
		o.b = otlp.AppendString(o.b, v)
	}
}

func (o *object) count(k string, v uint64) {
	if v != 0 {
		o.key(k)
		o.b = strconv.AppendUint(o.b, v, 10)
	}
}

func (o *object) long(k string, v uint64) {
	if v != 0 {
		o.key(k)
		o.b = append(strconv.AppendUint(append(o.b, '"'), v, 10), '"')
	}
}

func (o *object) double(k string, v float64) {
	o.key(k)
	switch {
	case math.IsNaN(v):
		o.b = append(o.b, `"NaN"`...)
	case math.IsInf(v, 1):
		o.b = append(o.b, `"Infinity"`...)
	case math.IsInf(v, -1):
		o.b = append(o.b, `"-Infinity"`...)
	default:
		o.b = strconv.AppendFloat(o.b, v, 'g', -1, 64)
	}
}

func (o *object) attrs(k string, list []trace.Attr) {
	if len(list) > 0 {
		o.key(k)
		o.b = otlp.AppendAttrsJSON(o.b, list)
	}
}

// list appends an array of n elements, also an empty one: pages take its length.
func (o *object) list(k string, n int, element func(b []byte, i int) []byte) {
	o.key(k)
	o.b = append(o.b, '[')
	for i := range n {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = element(o.b, i)
	}
	o.b = append(o.b, ']')
}

func (o *object) partial(why string) {
	if why != "" {
		o.text("status", "PARTIAL")
		o.text("message", why)
	}
}

// AppendTraceJSON appends a TraceByIDResponse in JSON, as AppendTrace does in protobuf.
func AppendTraceJSON(b []byte, spans []trace.Span, bytes int64, partial string) []byte {
	o := object{b: append(b, `{"trace":{"resourceSpans":`...), any: true}
	o.b = append(otlp.AppendMappedJSON(o.b, spans), '}')
	o.key("metrics")
	m := open(o.b)
	m.long("inspectedBytes", uint64(bytes))
	o.b = m.close()
	o.partial(partial)
	return o.close()
}

// AppendJSON appends the message in JSON.
func (s *Search) AppendJSON(b []byte) []byte {
	o := open(b)
	o.list("traces", len(s.Traces), func(b []byte, i int) []byte { return s.Traces[i].json(b) })
	o.key("metrics")
	o.b = s.Metrics.json(o.b)
	return o.close()
}

func (t *Trace) json(b []byte) []byte {
	o := open(b)
	o.text("traceID", t.ID.String())
	o.text("rootServiceName", t.RootService)
	o.text("rootTraceName", t.RootName)
	o.long("startTimeUnixNano", t.Start)
	o.count("durationMs", uint64(ms(t.Duration)))
	if len(t.Sets) > 0 {
		o.key("spanSet")
		o.b = t.Sets[0].json(o.b)
		o.list("spanSets", len(t.Sets), func(b []byte, i int) []byte { return t.Sets[i].json(b) })
	}
	if len(t.Services) > 0 {
		o.key("serviceStats")
		services := open(o.b)
		for _, s := range t.Services {
			if services.any {
				services.b = append(services.b, ',')
			}
			services.any = true
			one := open(append(otlp.AppendString(services.b, s.Name), ':'))
			one.count("spanCount", uint64(s.Spans))
			one.count("errorCount", uint64(s.Errors))
			services.b = one.close()
		}
		o.b = services.close()
	}
	return o.close()
}

func (s *SpanSet) json(b []byte) []byte {
	o := open(b)
	o.list("spans", len(s.Spans), func(b []byte, i int) []byte { return s.Spans[i].json(b) })
	o.count("matched", uint64(s.Matched))
	o.attrs("attributes", s.Attrs)
	return o.close()
}

func (s *Span) json(b []byte) []byte {
	o := open(b)
	o.text("spanID", s.ID.String())
	o.text("name", s.Name)
	o.long("startTimeUnixNano", s.Start)
	o.long("durationNanos", s.Duration)
	o.attrs("attributes", s.Attrs)
	return o.close()
}

func (m *Metrics) json(b []byte) []byte {
	o := open(b)
	o.count("inspectedTraces", uint64(m.Traces))
	o.long("inspectedBytes", uint64(m.Bytes))
	o.count("totalBlocks", uint64(m.Blocks))
	o.count("completedJobs", uint64(m.Jobs))
	o.count("totalJobs", uint64(m.JobsOfWhat))
	return o.close()
}

// metadata appends the fields of MetadataMetrics, of which inspectedTraces is none.
func (m *Metrics) metadata(o *object) []byte {
	o.key("metrics")
	none := Metrics{Bytes: m.Bytes, Blocks: m.Blocks, Jobs: m.Jobs, JobsOfWhat: m.JobsOfWhat}
	o.b = none.json(o.b)
	return o.close()
}

func (o *object) texts(k string, list []string) {
	o.list(k, len(list), func(b []byte, i int) []byte { return otlp.AppendString(b, list[i]) })
}

// AppendJSON appends the message in JSON.
func (t *Tags) AppendJSON(b []byte) []byte {
	o := open(b)
	o.list("scopes", len(t.Scopes), func(b []byte, i int) []byte {
		s := open(b)
		s.text("name", t.Scopes[i].Name)
		s.texts("tags", t.Scopes[i].Tags)
		return s.close()
	})
	return t.Metrics.metadata(&o)
}

// AppendJSON appends the message in JSON.
func (n *Names) AppendJSON(b []byte) []byte {
	o := open(b)
	key := "tagNames"
	if n.Values {
		key = "tagValues"
	}
	o.texts(key, n.Names)
	return n.Metrics.metadata(&o)
}

// AppendJSON appends the message in JSON.
func (v *Values) AppendJSON(b []byte) []byte {
	o := open(b)
	o.list("tagValues", len(v.Values), func(b []byte, i int) []byte {
		one := open(b)
		one.text("type", v.Values[i].Type)
		one.key("value") // pages take its length, too
		one.b = otlp.AppendString(one.b, v.Values[i].Text)
		return one.close()
	})
	return v.Metrics.metadata(&o)
}

// AppendJSON appends the message in JSON.
func (r *Range) AppendJSON(b []byte) []byte {
	o := open(b)
	o.list("series", len(r.Series), func(b []byte, i int) []byte { return r.Series[i].json(b) })
	o.key("metrics")
	o.b = r.Metrics.json(o.b)
	o.partial(r.Metrics.Incomplete)
	return o.close()
}

func (s *Series) json(b []byte) []byte {
	o := open(b)
	o.attrs("labels", s.Labels)
	o.list("samples", len(s.Samples), func(b []byte, i int) []byte {
		one := open(b)
		one.long("timestampMs", uint64(s.Samples[i].Time))
		one.double("value", s.Samples[i].Value)
		return one.close()
	})
	if len(s.Exemplars) > 0 {
		o.list("exemplars", len(s.Exemplars), func(b []byte, i int) []byte {
			e := &s.Exemplars[i]
			one := open(b)
			one.attrs("labels", e.Labels)
			one.double("value", e.Value)
			one.long("timestampMs", uint64(e.Time))
			return one.close()
		})
	}
	return o.close()
}

// AppendJSON appends the message in JSON.
func (i *Instant) AppendJSON(b []byte) []byte {
	o := open(b)
	o.list("series", len(i.Series), func(b []byte, k int) []byte {
		one := open(b)
		one.attrs("labels", i.Series[k].Labels)
		one.double("value", i.Series[k].Samples[0].Value)
		return one.close()
	})
	o.key("metrics")
	o.b = i.Metrics.json(o.b)
	o.partial(i.Metrics.Incomplete)
	return o.close()
}
