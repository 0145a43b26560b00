package series

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
)

// Keep leaves, at each step, the values of the n series with the largest values, or the smallest. Of equal ones those stay that come first
// in the order of labels. Series without a value left are left out.
func Keep(rows []Row, n int, smallest bool) []Row {
	if len(rows) <= n {
		return rows
	}
	order := make([]int, 0, len(rows))
	for step := range rows[0].Values {
		order = order[:0]
		for i := range rows {
			if !math.IsNaN(rows[i].Values[step]) {
				order = append(order, i)
			}
		}
		slices.SortStableFunc(order, func(a, b int) int {
			c := cmp.Compare(rows[b].Values[step], rows[a].Values[step])
			if smallest {
				return -c
			}
			return c
		})
		for _, i := range order[min(n, len(order)):] {
			rows[i].Values[step] = math.NaN()
		}
	}
	return known(rows)
}

// known leaves out series without a value.
func known(rows []Row) []Row {
	return slices.DeleteFunc(rows, func(r Row) bool {
		return !slices.ContainsFunc(r.Values, func(v float64) bool { return !math.IsNaN(v) })
	})
}

// Filter leaves the values that compare so with a number. Series without a value left are left out.
func Filter(rows []Row, op traceql.Op, n float64) []Row {
	for i := range rows {
		for k, v := range rows[i].Values {
			if !math.IsNaN(v) && !holds(op, v, n) {
				rows[i].Values[k] = math.NaN()
			}
		}
	}
	return known(rows)
}

func holds(op traceql.Op, a, b float64) bool {
	switch op {
	case traceql.OpEqual:
		return a == b
	case traceql.OpNotEqual:
		return a != b
	case traceql.OpLess:
		return a < b
	case traceql.OpLessEqual:
		return a <= b
	case traceql.OpGreater:
		return a > b
	}
	return a >= b
}

// Operand is series, or a number in their place.
type Operand struct {
	Rows   []Row
	Number float64
	Scalar bool // it is Number
}

// Calculate joins two operands: series with equal labels, or each series with a number, or with the only one of the other side if that has no
// labels. A series that has no partner is left out, as are exemplars. Values where one side has none, or that divide by 0, are left out.
func Calculate(op traceql.Op, x, y Operand) Operand {
	switch {
	case x.Scalar && y.Scalar:
		return Operand{Number: calculate(op, x.Number, y.Number), Scalar: true}
	case y.Scalar:
		return each(x.Rows, func(v float64) float64 { return calculate(op, v, y.Number) })
	case x.Scalar:
		return each(y.Rows, func(v float64) float64 { return calculate(op, x.Number, v) })
	}
	if isTotal(x.Rows) && !isTotal(y.Rows) {
		total := x.Rows[0].Values
		return partners(y.Rows, func(r Row) bool {
			for i, v := range r.Values {
				r.Values[i] = calculate(op, total[i], v)
			}
			return true
		})
	}
	byLabels := map[string]*Row{}
	for i := range y.Rows {
		byLabels[labelsKey(y.Rows[i].Labels)] = &y.Rows[i]
	}
	total := isTotal(y.Rows)
	return partners(x.Rows, func(r Row) bool {
		other := byLabels[labelsKey(r.Labels)]
		if total {
			other = &y.Rows[0]
		}
		if other == nil {
			return false
		}
		for i := range r.Values {
			r.Values[i] = calculate(op, r.Values[i], other.Values[i])
		}
		return true
	})
}

// isTotal reports whether rows are one series without labels, which goes with each of another side.
func isTotal(rows []Row) bool { return len(rows) == 1 && len(rows[0].Labels) == 0 }

// partners leaves the rows for which join finds a partner.
func partners(rows []Row, join func(Row) bool) Operand {
	var out []Row
	for _, r := range rows {
		if join(r) {
			r.Exemplars = nil
			out = append(out, r)
		}
	}
	return Operand{Rows: known(out)}
}

func each(rows []Row, fn func(float64) float64) Operand {
	for i := range rows {
		for k, v := range rows[i].Values {
			rows[i].Values[k] = fn(v)
		}
	}
	return Operand{Rows: known(rows)}
}

func labelsKey(labels []eval.Label) string {
	keys := make([]string, len(labels))
	for i, l := range labels {
		keys[i] = l.Name + "\x00" + l.Value.Key()
	}
	slices.Sort(keys)
	return strings.Join(keys, "\x01")
}

// calculate returns NaN where there is no number.
func calculate(op traceql.Op, x, y float64) float64 {
	var z float64
	switch op {
	case traceql.OpAdd:
		z = x + y
	case traceql.OpSub:
		z = x - y
	case traceql.OpMul:
		z = x * y
	default:
		z = x / y
	}
	if math.IsInf(z, 0) {
		return math.NaN()
	}
	return z
}
