package query

import (
	"unsafe"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
)

// What a query holds of its context's budget, beside the traces that the store reads for it.

// A span takes so many bytes while its trace is evaluated, beside the tree: indices of sets, marks, and, of by(), a set of its own.
const (
	evalBytes  = 32
	groupBytes = 400
)

// perSpan returns what a span takes while a pipeline is evaluated.
func perSpan(p *traceql.Pipeline) int64 {
	for _, s := range p.Stages {
		if _, ok := s.(*traceql.GroupBy); ok {
			return groupBytes
		}
	}
	return evalBytes
}

// forms is how often what was found is there before it is sent: as found, in the form of who asked, and as bytes.
const forms = 3

// foundMemory returns what a trace takes without its sets until it is sent.
func foundMemory(t *FoundTrace) int64 {
	return forms * (int64(unsafe.Sizeof(*t)) + int64(len(t.Services))*int64(unsafe.Sizeof(ServiceCount{})) + 64)
}

func setMemory(s *FoundSet) int64 {
	n := int64(unsafe.Sizeof(*s))
	for i := range s.By {
		n += int64(unsafe.Sizeof(eval.Label{})) + textBytes(s.By[i].Value)
	}
	for i := range s.Spans {
		n += spanMemory(&s.Spans[i])
	}
	return forms * n
}

func spanMemory(s *FoundSpan) int64 {
	n := int64(unsafe.Sizeof(*s)) + int64(len(s.Attrs))*int64(unsafe.Sizeof(FieldValue{}))
	for i := range s.Attrs {
		n += textBytes(s.Attrs[i].Value)
	}
	return n
}

func textBytes(v eval.Value) int64 { return int64(len(v.Value.Str())) }

// memory returns what was taken for a trace that was found.
func (t *FoundTrace) memory() int64 {
	n := foundMemory(t)
	for i := range t.Sets {
		n += setMemory(&t.Sets[i])
	}
	return n
}

// eachMemory is what whoever is called with a trace keeps of it, a line of a list.
const eachMemory = 512

// sampleMemory is what a sample takes from when it is counted until it is sent.
const sampleMemory = 160

// answerMemory returns what the answer takes that is made of what was counted.
func (m *metrics) answerMemory() int64 {
	n := 0
	for _, l := range m.leaves {
		if l.comp != nil {
			n += l.comp.counts.Samples()
		} else {
			n += l.agg.Samples()
		}
	}
	return int64(n) * sampleMemory
}
