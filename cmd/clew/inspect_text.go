package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// print writes the tables, of each the first rows.
func (in *inspection) print(out io.Writer, top int) error {
	var b strings.Builder
	in.totals(&b)
	p := &printer{out: &b, top: top, total: in.Blocks.Bytes}
	each(p, []string{"WHAT FOR", "BYTES", "SHARE", "A SPAN", "", "ENCODINGS"}, in.Parts, func(s share) []string {
		return []string{s.Name, bytesText(s.Bytes), p.percent(s.Bytes), ratio(s.Bytes, in.Blocks.Spans), p.bar(s.Bytes), strings.Join(s.Encodings, ", ")}
	})
	each(p, []string{"SERVICE", "BYTES", "SHARE", "A SPAN", "SPANS", ""}, in.Services, func(s share) []string {
		return []string{s.Name, bytesText(s.Bytes), p.percent(s.Bytes), ratio(s.Bytes, s.Values), grouped(s.Values), p.bar(s.Bytes)}
	})
	each(p, []string{"ATTRIBUTE", "BYTES", "SHARE", "A VALUE", "VALUES", "", "ENCODINGS"}, in.Attributes, func(s share) []string {
		return []string{s.Name, bytesText(s.Bytes), p.percent(s.Bytes), ratio(s.Bytes, s.Values), grouped(s.Values), p.bar(s.Bytes), strings.Join(s.Encodings, ", ")}
	})
	each(p, []string{"SHAPE OF", "SPAN", "KIND", "STATUS", "ATTRIBUTES", "BYTES", "SHARE", "A SPAN", "SPANS"}, in.Shapes, func(s inspectedShape) []string {
		name := s.Name
		if s.Wide {
			name = "(many)"
		}
		return []string{s.Service, name, s.Kind, s.Status, strconv.Itoa(s.Attributes), bytesText(s.Bytes), p.percent(s.Bytes), ratio(s.Bytes, s.Spans), grouped(s.Spans)}
	})
	each(p, []string{"COLUMN OF", "SPAN", "COLUMN", "TYPE", "ENCODING", "BYTES", "SHARE", "A VALUE", "VALUES"}, in.Columns, func(c inspectedColumn) []string {
		return []string{c.Service, c.Span, c.Name, c.Type, c.Encoding, bytesText(c.Bytes), p.percent(c.Bytes), ratio(c.Bytes, c.Values), grouped(c.Values)}
	})
	each(p, []string{"ENCODING", "BYTES", "SHARE", "A VALUE", "VALUES", ""}, in.Encodings, func(s share) []string {
		return []string{s.Name, bytesText(s.Bytes), p.percent(s.Bytes), ratio(s.Bytes, s.Values), grouped(s.Values), p.bar(s.Bytes)}
	})
	p.total = in.Log.Bytes
	each(p, []string{"IN THE LOG", "BYTES", "SHARE", "A SPAN", ""}, in.Log.Parts, func(s share) []string {
		return []string{s.Name, bytesText(s.Bytes), p.percent(s.Bytes), ratio(s.Bytes, in.Log.Spans), p.bar(s.Bytes)}
	})
	p.total = in.Bytes
	if len(in.Files) > 1 {
		each(p, []string{"FILE", "KIND", "FORMAT", "BYTES", "SHARE", "A SPAN", "SPANS"}, in.Files, func(f inspectedFile) []string {
			return []string{f.Path, f.Kind, strconv.Itoa(f.Format), bytesText(f.Bytes), p.percent(f.Bytes), ratio(f.Bytes, f.Spans), grouped(f.Spans)}
		})
	}
	each(p, []string{"DAMAGED FILE", "OFFSET", "WHAT"}, in.Damage, func(d damaged) []string {
		return []string{d.File, strconv.FormatInt(d.Offset, 10), d.What}
	})
	_, err := io.WriteString(out, b.String())
	return err
}

func (in *inspection) totals(b *strings.Builder) {
	line := func(name string, files int, rest ...string) {
		fmt.Fprintf(b, "%-8s %d %s\n", name, files, strings.Join(rest, ", "))
	}
	if t := &in.Blocks; t.Files > 0 {
		line("blocks", t.Files, fmt.Sprintf("(format %s)", in.formats("block")), bytesText(t.Bytes), several(t.Spans, "span")+" of "+several(t.Traces, "trace"),
			several(t.Groups, "group"), ratio(t.Bytes, max(1, t.Spans))+" bytes a span")
		if t.Spans > 0 {
			utc := func(ns uint64) string { return time.Unix(0, int64(ns)).UTC().Format(time.RFC3339) }
			fmt.Fprintf(b, "spans    of %s to %s\n", utc(t.Oldest), utc(t.Newest))
		}
	}
	if t := &in.Log; t.Files > 0 {
		line("log", t.Files, fmt.Sprintf("(format %s)", in.formats("log")), bytesText(t.Bytes), several(t.Spans, "span")+" in "+several(t.Records, "record")+", until a block has them")
	}
	if len(in.Files) == 0 {
		b.WriteString("no blocks and no log segments\n")
	}
	if in.OtherBytes > 0 {
		fmt.Fprintf(b, "others   %s\n", bytesText(in.OtherBytes))
	}
	if in.Gone > 0 {
		fmt.Fprintf(b, "gone     %s, deleted before it was read: merged, expired, or in a block now\n", several(in.Gone, "file"))
	}
}

// formats returns the versions of a kind of file, such as "1" or "1, 2".
func (in *inspection) formats(kind string) string {
	var all []int
	for _, f := range in.Files {
		if f.Kind == kind && !slices.Contains(all, f.Format) {
			all = append(all, f.Format)
		}
	}
	slices.Sort(all)
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", ", "), "[]")
}

// printer writes tables whose columns are aligned: text at the left, numbers at the right.
type printer struct {
	out   *strings.Builder
	top   int   // rows of a table; 0: all
	total int64 // bytes that are 100 %
}

// each writes a table with a row for each of a list, if there are any.
func each[T any](p *printer, head []string, list []T, row func(T) []string) {
	if len(list) == 0 {
		return
	}
	left := 0
	if p.top > 0 && len(list) > p.top {
		list, left = list[:p.top], len(list)-p.top
	}
	rows := [][]string{head}
	for _, v := range list {
		cells := row(v)
		for i, c := range cells {
			cells[i] = cell(c)
		}
		rows = append(rows, cells)
	}
	p.out.WriteByte('\n')
	p.align(rows)
	if left > 0 {
		fmt.Fprintf(p.out, "(%d more; --top 0 shows all)\n", left)
	}
}

func (p *printer) align(rows [][]string) {
	numbers := []string{"BYTES", "SHARE", "A SPAN", "A VALUE", "SPANS", "VALUES", "ATTRIBUTES", "FORMAT", "OFFSET"}
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			if slices.Contains(numbers, rows[0][i]) {
				line.WriteString(pad + c + "  ")
			} else {
				line.WriteString(c + pad + "  ")
			}
		}
		p.out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// cell returns text as a cell shows it: what senders chose may be long, or move the cursor of a terminal.
func cell(s string) string {
	const longest = 60
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		s = strconv.Quote(s)
	}
	if r := []rune(s); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return s
}

func (p *printer) percent(n int64) string {
	return strconv.FormatFloat(100*float64(n)/float64(max(1, p.total)), 'f', 1, 64) + "%"
}

// bar draws a share, 20 characters being all.
func (p *printer) bar(n int64) string {
	const all = 20
	return strings.Repeat("█", int((n*all+p.total/2)/max(1, p.total)))
}

// ratio returns bytes of each of n; nothing where there are none.
func ratio(bytes, n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(bytes)/float64(n), 'f', 2, 64)
}

// several writes a number and what it counts, in the plural where it is not one.
func several[N int | int64 | uint64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return grouped(int64(n)) + " " + what
}

// grouped writes a number with its thousands apart.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
