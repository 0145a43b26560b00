package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// difference is how many of the spans of each side of compare() have a value of an attribute.
type difference struct {
	field               queryField
	selection, baseline float64
}

// compared makes differences of the series of compare(), as shares of all spans of each side, the largest difference first, and returns
// how many spans each side has; ok is whether the series are of compare(). Of attributes with too many values there is whether they are there.
func compared(all []querySeries) (out []difference, selection, baseline float64, ok bool) {
	of := map[queryField]*difference{}
	for i := range all {
		side, field, many := "", queryField{}, false
		for _, l := range all[i].Labels {
			switch l.Name {
			case "__meta_type":
				side = l.Value
			case "__meta_error":
				many = true
			default:
				field = l
			}
		}
		if many {
			field.Type, field.Value = "", "…"
		}
		n := 0.0
		for _, x := range all[i].Samples {
			n += x.Value
		}
		if of[field] == nil {
			of[field] = &difference{field: field}
		}
		switch side {
		case "selection":
			of[field].selection += n
		case "baseline":
			of[field].baseline += n
		case "selection_total": // of the spans that have the attribute, and all have some
			selection = max(selection, n)
		case "baseline_total":
			baseline = max(baseline, n)
		default:
			return nil, 0, 0, false
		}
	}
	for _, d := range of {
		if d.selection == 0 && d.baseline == 0 {
			continue
		}
		d.selection, d.baseline = d.selection/max(1, selection), d.baseline/max(1, baseline)
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b difference) int {
		return cmp.Or(cmp.Compare(b.size(), a.size()), strings.Compare(a.field.Name, b.field.Name), strings.Compare(a.field.Value, b.field.Value))
	})
	return out, selection, baseline, len(all) > 0
}

func (d *difference) size() float64 { return math.Abs(d.selection - d.baseline) }

// printCompared writes a line for each value of an attribute that one side has more often than the other.
func (a *querier) printCompared(all []difference, selection, baseline float64) error {
	const lines, bar = 25, 20
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "SELECTION\tBASELINE\tDIFFERENCE\tATTRIBUTE\n") // Flush returns the error
	for _, d := range all[:min(lines, len(all))] {
		sign, length := "+", int(math.Ceil(d.size()*bar))
		if d.selection < d.baseline {
			sign = "-"
		}
		_, _ = fmt.Fprintf(w, "%.1f %%\t%.1f %%\t%s%s\t%s\n", 100*d.selection, 100*d.baseline, sign, strings.Repeat("█", length), fieldText(d.field))
	}
	_, _ = fmt.Fprintf(w, "\nShares of %s selected and of %s", several(int64(selection), "span"), several(int64(baseline), "other"))
	if n := len(all) - lines; n > 0 {
		_, _ = fmt.Fprintf(w, "; and %s: --json has all values", several(n, "smaller difference"))
	}
	_, _ = fmt.Fprintln(w)
	return w.Flush()
}
