package main

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// print writes an answer for people.
func (a *querier) print(ans *queryAnswer) error {
	var err error
	switch {
	case ans.Plan != nil:
		_, err = fmt.Fprintln(a.out, strings.Join(ans.Plan, "\n"))
	case len(ans.Series) > 0:
		err = a.printSeries(ans.Series)
	case len(ans.Spans) > 0:
		err = a.printRows(ans)
	case len(ans.Traces) > 0:
		err = a.printTraces(ans.Traces, true)
	default:
		_, err = fmt.Fprintf(a.out, "looked at %s of %s, and found nothing\n", several(ans.Scanned.Traces, "trace"), several(ans.Scanned.Spans, "span"))
	}
	if err == nil && ans.Cursor != "" {
		_, err = fmt.Fprintf(a.out, "\nthere are more: --limit N, or the next page with --cursor %s\n", ans.Cursor)
	}
	if err == nil && !ans.Scanned.Complete {
		err = fmt.Errorf("not complete: %s", ans.Scanned.Reason)
	}
	return err
}

// printTraces writes a line for each trace, and below it the spans that were found.
func (a *querier) printTraces(traces []queryTrace, header bool) error {
	if a.json {
		for i := range traces {
			if _, err := fmt.Fprintf(a.out, "%s\n", traces[i].raw); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) } // Flush returns the error
	if header {
		line("START\tDURATION\tSPANS\tERRORS\tTRACE OR SPAN\tWHAT")
	}
	for i := range traces {
		t := &traces[i]
		root := printable(t.RootService + " " + t.RootName)
		if t.RootService == "" {
			root = "(its root has not arrived)"
		}
		line("%s\t%s\t%d\t%d\t%s\t%s", t.Start, short(t.DurationNs), t.Spans, t.Errors, t.TraceID, root)
		for _, set := range t.Sets {
			if len(set.By) > 0 {
				line("\t\t%d\t\t\t  by %s", set.Matched, fieldTexts(set.By, " "))
			}
			for _, s := range set.Spans {
				status := s.Status
				if status == "unset" {
					status = ""
				}
				what := "  " + printable(s.Service+" "+s.Name) + "  " + fieldsText(s.Fields)
				line("\t%s\t\t%s\t%s\t%s", short(s.DurationNs), status, s.SpanID, strings.TrimRight(what, " "))
			}
			if more := set.Matched - len(set.Spans); more > 0 && len(set.Spans) > 0 {
				line("\t\t\t\t\t  and %d more", more)
			}
		}
	}
	return w.Flush()
}

// printRows writes a line for each span, with a column for each field that was asked for.
func (a *querier) printRows(ans *queryAnswer) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	line := func(cells []string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) } // Flush returns the error
	head := []string{"START", "DURATION", "STATUS", "SERVICE", "NAME"}
	var columns []string
	for _, c := range ans.Columns {
		if !onEachLine[c] {
			columns = append(columns, c)
		}
	}
	for _, c := range columns {
		head = append(head, printable(c))
	}
	line(append(head, "TRACE", "SPAN"))
	for i := range ans.Spans {
		s := &ans.Spans[i]
		cells := []string{s.Start.String(), short(s.DurationNs), s.Status, printable(s.Service), printable(s.Name)}
		for _, c := range columns {
			cells = append(cells, cellOf(s.Fields, c))
		}
		line(append(cells, s.TraceID, s.SpanID))
	}
	return w.Flush()
}

// cellOf returns the value of a field: - if the span lacks it.
func cellOf(fields []queryField, name string) string {
	i := slices.IndexFunc(fields, func(f queryField) bool { return f.Name == name })
	if i < 0 {
		return "-"
	}
	if f := fields[i]; f.Type == "string" && (f.Value == "" || strings.ContainsAny(f.Value, " \t")) {
		return strconv.Quote(f.Value)
	}
	return printable(fields[i].Value)
}

// printable makes a line's part of a text that others chose: it may have anything in it that a terminal obeys.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '�'
		}
		return r
	}, s)
}

// short writes a duration with three digits.
func short(ns uint64) string {
	d := time.Duration(min(ns, math.MaxInt64))
	unit := time.Duration(1)
	for d/unit >= 1000 && d < time.Minute {
		unit *= 10
	}
	if d >= time.Minute {
		unit = time.Second
	}
	return d.Round(unit).String()
}

// onEachLine are the fields that a line has anyway.
var onEachLine = map[string]bool{"span:name": true, "span:duration": true, "span:status": true, "resource.service.name": true, "trace:id": true, "span:id": true}

func fieldsText(fields []queryField) string {
	return fieldTexts(slices.DeleteFunc(slices.Clone(fields), func(f queryField) bool { return onEachLine[f.Name] }), " ")
}

func fieldTexts(fields []queryField, between string) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = fieldText(f)
	}
	return strings.Join(parts, between)
}

func fieldText(f queryField) string {
	if f.Type == "string" {
		return fmt.Sprintf("%s=%q", printable(f.Name), f.Value)
	}
	return printable(f.Name + "=" + f.Value)
}

// printSeries writes a line for each series: its labels, the least, mean, largest and last value, and the course of it.
func (a *querier) printSeries(all []querySeries) error {
	if d, selection, baseline, ok := compared(all); ok {
		return a.printCompared(d, selection, baseline)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) } // Flush returns the error
	c := coursesOf(all)
	one := c.letters < 2
	before := strings.Repeat("\t", 5) // examples are below their series' name
	if one {
		before = "\t"
		line("VALUE\tSERIES")
	} else {
		line("MIN\tMEAN\tMAX\tLAST\tCOURSE\tSERIES")
	}
	for i := range all {
		s := &all[i]
		name := "{" + fieldTexts(s.Labels, ", ") + "}"
		switch {
		case len(s.Samples) == 0:
		case one:
			line("%.4g\t%s", s.Samples[0].Value, name)
		default:
			least, mean, most := s.spread()
			line("%.4g\t%.4g\t%.4g\t%.4g\t%s\t%s", least, mean, most, s.Samples[len(s.Samples)-1].Value, c.course(s, most), name)
		}
		for _, x := range s.Exemplars {
			line("%s  %.4g at %s: trace %s span %s", before, x.Value, x.Time, x.TraceID, x.SpanID)
		}
	}
	return w.Flush()
}

func (s *querySeries) spread() (least, mean, most float64) {
	least, most = math.Inf(1), math.Inf(-1)
	for _, x := range s.Samples {
		least, most, mean = min(least, x.Value), max(most, x.Value), mean+x.Value
	}
	return least, mean / float64(len(s.Samples)), most
}

// courses is how samples are drawn, so that those of all series are of the same times.
type courses struct {
	from    nanoseconds
	length  uint64 // ns
	letters uint64
}

func coursesOf(all []querySeries) courses {
	const width = 40
	from, to, most := nanoseconds(math.MaxUint64), nanoseconds(0), 0
	for i := range all {
		most = max(most, len(all[i].Samples))
		for _, x := range all[i].Samples {
			from, to = min(from, x.Time), max(to, x.Time)
		}
	}
	return courses{from, uint64(to-from) + 1, uint64(min(most, width))}
}

// course draws the samples' values as parts of the largest: of several at a place the largest, and blank where there is none.
func (c courses) course(s *querySeries, most float64) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	out := []rune(strings.Repeat(" ", int(c.letters)))
	for _, x := range s.Samples {
		level := 0
		if most > 0 {
			level = max(0, min(int(x.Value/most*float64(len(levels)-1)), len(levels)-1))
		}
		hi, lo := bits.Mul64(uint64(x.Time-c.from), c.letters)
		at, _ := bits.Div64(hi, lo, c.length)
		out[at] = max(out[at], levels[level])
	}
	return string(out)
}
