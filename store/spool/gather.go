package spool

import (
	"encoding/binary"

	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/trace"
)

// Gathering a group's columns from where its spans are, in the order of its traces, and encoding them.

// A codec is for one goroutine. It has the memory that gathering and reading use again.
type codec struct {
	*pack.Codec
	body, lengths []byte
	nums          []uint64
	needles       needles
	scratch       pack.Scratch
}

func newCodec() *codec { return &codec{Codec: pack.NewCodec()} }

// appendShape appends a shape's section: uvarint count of columns, their lengths as uvarints, the span IDs (8 bytes each), the columns:
// start, duration, resource, rest, names (wide shapes), attributes.
func (g *groupWriter) appendShape(z *codec, dst []byte, r *shapeRefs, s *shapeRows) ([]byte, error) {
	z.body, z.lengths = z.body[:0], z.lengths[:0]
	last, count := 0, 0
	g.tally.shape(g.dict, &s.shape, len(r.ids))
	done := func() {
		count++
		z.lengths = binary.AppendUvarint(z.lengths, uint64(len(z.body)-last))
		last = len(z.body)
	}
	z.body = z.AppendNumbers(z.body, r.starts)
	done()
	z.body = z.AppendNumbers(z.body, r.nums(z, durationOf))
	done()
	resources, err := g.resources(z, r)
	if err != nil {
		return nil, err
	}
	g.tally.Count(resources)
	z.body = z.AppendNumbers(z.body, resources)
	done()
	var wide [2]pack.Column
	if s.wide {
		if wide, err = r.spell(); err != nil {
			return nil, err
		}
		g.tally.wide(&s.shape, &wide[0], &wide[1])
		for i := range wide {
			z.body = z.AppendStrings(z.body, &wide[i])
			done()
		}
		z.needles.rest(&wide[0])
	} else {
		rest := r.strings(z, restOf)
		z.body = z.AppendStrings(z.body, rest)
		done()
		z.needles.rest(rest)
	}
	for i := range s.keys {
		attr := func(s *shapeRows) *pack.Column { return &s.attrs[i] }
		if isNumber(s.keys[i].typ) {
			v := r.nums(z, attr)
			z.body = z.AppendNumbers(z.body, v)
			if few, counts, ok := z.Few(v); ok {
				g.tally.few(&s.shape, i, few, counts)
				v = few
			} else {
				g.tally.numbers(&s.shape, i, v)
			}
			z.needles.numbers(s.keys[i], v)
		} else {
			c := r.strings(z, attr)
			g.tally.texts(&s.shape, i, c)
			z.body = z.AppendStrings(z.body, c)
			z.needles.texts(s.keys[i], c)
		}
		done()
	}
	dst = binary.AppendUvarint(dst, uint64(count))
	dst = append(dst, z.lengths...)
	for i := range r.ids {
		dst = append(dst, r.ids[i][:]...)
	}
	return append(dst, z.body...), nil
}

func durationOf(s *shapeRows) *pack.Column { return &s.duration }
func restOf(s *shapeRows) *pack.Column     { return &s.rest }

// run returns run i with its rows.
func (r *shapeRefs) run(i int) (*run, []uint32) {
	end := len(r.rows)
	if i+1 < len(r.runs) {
		end = r.runs[i+1].at
	}
	return &r.runs[i], r.rows[r.runs[i].at:end]
}

// nums gathers a column of numbers. The result is valid until the next call.
func (r *shapeRefs) nums(z *codec, column func(*shapeRows) *pack.Column) []uint64 {
	out := z.nums[:0]
	for i := range r.runs {
		run, rows := r.run(i)
		c := column(run.from)
		if c.Form == pack.Same {
			for range rows {
				out = append(out, c.Nums[0])
			}
			continue
		}
		for _, k := range rows {
			out = append(out, c.Nums[k])
		}
	}
	z.nums = out
	return out
}

// resources gathers the column of resources, as they are numbered here.
func (g *groupWriter) resources(z *codec, r *shapeRefs) ([]uint64, error) {
	out := z.nums[:0]
	for i := range r.runs {
		run, rows := r.run(i)
		for _, k := range rows {
			n, err := g.resource(run.src, run.from.resource.Nums[k])
			if err != nil {
				return nil, err
			}
			out = append(out, n)
		}
	}
	z.nums = out
	return out, nil
}

// strings gathers a bytes column: indexed, if it has few values. The result is valid until the next call.
func (r *shapeRefs) strings(z *codec, column func(*shapeRows) *pack.Column) *pack.Column {
	if len(r.runs) == 1 {
		if c := column(r.runs[0].from); c.Form == pack.Same {
			return c
		}
	}
	out := z.Gathered()
	for i := range r.runs {
		run, rows := r.run(i)
		if !z.Gather(out, column(run.from), rows, len(r.rows)) {
			return r.plain(z, column)
		}
	}
	return out
}

// plain gathers a bytes column with a value for each row.
func (r *shapeRefs) plain(z *codec, column func(*shapeRows) *pack.Column) *pack.Column {
	out := z.Gathered()
	out.Form = pack.Each
	for i := range r.runs {
		run, rows := r.run(i)
		c := column(run.from)
		for _, k := range rows {
			out.Add(c.Bytes(int(k)))
		}
	}
	return out
}

// spell gathers what a wide shape has in place of attributes: the rest, with the attributes in it, and the names. Some of its
// spans may come from shapes that found no room here.
func (r *shapeRefs) spell() (out [2]pack.Column, err error) {
	for i := range r.runs {
		run, rows := r.run(i)
		for _, k := range rows {
			row, from := int(k), run.from
			rest := out[0].Data
			rest = append(rest, from.rest.Bytes(row)...)
			if from.wide {
				out[1].Add(from.names.Bytes(row))
			} else {
				out[1].Add([]byte(from.name))
				for j := range from.keys {
					v, err := from.attr(run.src.rows.z, j, row)
					if err != nil {
						return out, err
					}
					rest = trace.AppendSpanAttr(rest, trace.Attr{Key: from.keys[j].key, Value: v})
				}
			}
			out[0].Data = rest
			out[0].Ends = append(out[0].Ends, uint32(len(rest)))
		}
	}
	return out, nil
}
