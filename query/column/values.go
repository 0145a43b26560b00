package column

import (
	"math"
	"strings"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// Field is a field of single spans, to be read. It is safe for concurrent use.
type Field struct {
	read func(eval.At) eval.Value
	ask  question
}

// Read makes a Field; false if it is not of a span alone.
func Read(f traceql.Field) (*Field, bool) {
	q, ok := ask([]traceql.Field{f})
	return &Field{eval.Fielder(f), q}, ok
}

// Values is what the rows of a table have in a field.
type Values struct {
	Index []int32 // by row: which value of List; nil: all rows have the first. -1: the row was not asked for
	List  []eval.Value
}

// At returns the value's number of a row.
func (v *Values) At(row int) int {
	if v.Index == nil {
		return 0
	}
	return int(v.Index[row])
}

// Values reads a field of some rows of a table. Equal values may be in the list more than once. They stay valid.
func (f *Field) Values(t *trace.Table, rows Rows) (v Values, err error) {
	var p probe
	if err := p.begin(t, &f.ask); err != nil {
		return v, err
	}
	if p.fixed() {
		v.List = []eval.Value{f.of(&p)}
		return v, nil
	}
	v.Index = make([]int32, t.Rows)
	if s := p.few(); s != nil {
		return f.few(&p, s, v, rows)
	}
	if s := p.only(); s != nil && s.nums != nil {
		return f.numbers(&p, s, v, rows)
	}
	plain := int32(-1) // the number of what all plain rows have
	d := dictionary{texts: map[string]int32{}, numbers: map[number]int32{}}
	for row := range v.Index {
		v.Index[row] = -1
		if !rows.Has(row) || t.Hidden != nil && t.Hidden[row] {
			continue
		}
		alike := p.rest && !p.whole && len(p.sources) == 0 && p.plain[row] == 1
		if alike && plain >= 0 {
			v.Index[row] = plain
			continue
		}
		if err := p.row(row); err != nil {
			return v, err
		}
		v.Index[row] = d.find(f.read(p.at()))
		if alike {
			plain = v.Index[row]
		}
	}
	v.List = d.list
	return v, nil
}

// few reads the values of a source that has few.
func (f *Field) few(p *probe, s *source, v Values, rows Rows) (Values, error) {
	known := make([]int32, s.few) // numbers in v.List + 1
	for row := range v.Index {
		if v.Index[row] = -1; !rows.Has(row) {
			continue
		}
		k := s.at(row)
		if known[k] == 0 {
			if err := s.set(k); err != nil {
				return v, err
			}
			v.List = append(v.List, f.of(p))
			known[k] = int32(len(v.List))
		}
		v.Index[row] = known[k] - 1
	}
	return v, nil
}

// numbers reads the values of a source that is a number for each row.
func (f *Field) numbers(p *probe, s *source, v Values, rows Rows) (Values, error) {
	known := map[uint64]int32{}
	last, i := uint64(0), int32(-1)
	for row, n := range s.nums {
		v.Index[row] = -1
		if !rows.Has(row) || p.table.Hidden != nil && p.table.Hidden[row] {
			continue
		}
		if i < 0 || n != last {
			var ok bool
			if i, ok = known[n]; !ok {
				if err := s.set(row); err != nil {
					return v, err
				}
				i = int32(len(v.List))
				v.List, known[n] = append(v.List, f.of(p)), i
			}
			last = n
		}
		v.Index[row] = i
	}
	return v, nil
}

// of reads the field of a probe, to be kept.
func (f *Field) of(p *probe) eval.Value { return f.read(p.at()).Clone() }

// dictionary numbers values.
type dictionary struct {
	list    []eval.Value
	texts   map[string]int32 // of strings by what they are, of others by their key
	numbers map[number]int32
}

type number struct {
	typ  traceql.Type
	bits uint64
}

// find returns the number of a value, adding it if it is new.
func (d *dictionary) find(v eval.Value) int32 {
	switch v.Value.Type() {
	case trace.TypeString:
		return d.text(v, v.Value.Str())
	case trace.TypeBool, trace.TypeInt, trace.TypeDouble:
		n := number{v.Type, v.Value.Bits()}
		i, ok := d.numbers[n]
		if !ok {
			i = d.add(v)
			d.numbers[n] = i
		}
		return i
	}
	return d.text(v, "\x00"+v.Key())
}

func (d *dictionary) text(v eval.Value, key string) int32 {
	i, ok := d.texts[key]
	if !ok {
		i = d.add(v.Clone())
		d.texts[strings.Clone(key)] = i
	}
	return i
}

func (d *dictionary) add(v eval.Value) int32 {
	d.list = append(d.list, v)
	return int32(len(d.list) - 1)
}

// Numbers reads a field of some rows of a table as numbers, as eval.Value.Float; NaN where there is none.
func (f *Field) Numbers(t *trace.Table, rows Rows) ([]float64, error) {
	var p probe
	if err := p.begin(t, &f.ask); err != nil {
		return nil, err
	}
	out := make([]float64, t.Rows)
	if len(f.ask.fields) == 1 && f.ask.fields[0].Intrinsic == traceql.SpanDuration {
		durations, err := t.Columns.Numbers(trace.DurationColumn)
		for row, d := range durations {
			out[row] = float64(d)
		}
		return out, err
	}
	for row := range out {
		out[row] = math.NaN()
		if !rows.Has(row) || t.Hidden != nil && t.Hidden[row] {
			continue
		}
		if err := p.row(row); err != nil {
			return nil, err
		}
		if x, ok := f.read(p.at()).Float(); ok {
			out[row] = x
		}
	}
	return out, nil
}
