package query

import (
	"slices"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
)

// unnest calls fn with each row of single values that a row with lists in it stands for: a span with several values of a field, as an array or
// of its events, is in the group of each. fn keeps no row.
func unnest(row []eval.Value, by []*traceql.FieldRef, fn func([]eval.Value) error) error {
	return unnestFrom(0, slices.Clone(row), by, fn)
}

// unnestFrom is unnest of the values from one on.
func unnestFrom(i int, row []eval.Value, by []*traceql.FieldRef, fn func([]eval.Value) error) error {
	for i < len(row) && !row[i].IsList() {
		i++
	}
	if i == len(row) {
		return fn(row)
	}
	list := row[i]
	defer func() { row[i] = list }()
	for _, row[i] = range list.Elements(by[i].Type()) {
		if err := unnestFrom(i+1, row, by, fn); err != nil {
			return err
		}
	}
	return nil
}
