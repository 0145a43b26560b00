package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/clewtrace/clew/store/spool"
)

const inspectExample = `Usage: clew inspect [FLAGS] PATH...

Shows what the bytes of blocks and log segments are for: by part, service, attribute, shape and encoding, largest first. PATH is such a
file or a folder with some in it, as a data folder, and may be in use: files are only read. All that is found is summed. Ends with
status 1 if something is damaged.

  clew inspect ./clew-data                         # what eats the disk?
  clew inspect --top 50 clew-data/blocks/000000000012.blk
  clew inspect --json clew-data | jq '.attributes[] | select(.bytes > 1e6)'

`

func runInspect(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("inspect", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	top := fs.Int("top", 10, "`rows` of each table; 0 for all")
	asJSON := fs.Bool("json", false, "print all of it as JSON; sizes are bytes, times Unix nanoseconds as text")
	paths, err := parseArguments(fs, inspectExample, args)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return usageError{errors.New("inspect what? clew inspect ./clew-data; clew help inspect says more")}
	}
	in := newInspection()
	for _, path := range paths {
		if err := in.add(ctx, path); err != nil {
			return err
		}
	}
	in.sum()
	if *asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(in)
	} else {
		err = in.print(os.Stdout, *top)
	}
	if err == nil && in.wrong > 0 {
		err = fmt.Errorf("%d stretches are damaged", in.wrong)
	}
	return err
}

// inspection is what was found in all files together. Its lists are sorted by bytes, largest first.
type inspection struct {
	Files      []inspectedFile   `json:"files"`
	Bytes      int64             `json:"bytes"` // of blocks and log segments
	Spans      int64             `json:"spans"`
	Blocks     blockTotals       `json:"blocks"`
	Log        logTotals         `json:"log"`
	Parts      []share           `json:"parts"`      // of all bytes of blocks
	Services   []share           `json:"services"`   // of the bytes of their spans' columns
	Attributes []share           `json:"attributes"` // of the columns of attributes
	Encodings  []share           `json:"encodings"`  // of columns
	Shapes     []inspectedShape  `json:"shapes"`
	Columns    []inspectedColumn `json:"columns"`
	Damage     []damaged         `json:"damage"`
	Gone       int               `json:"gone"`       // files that were deleted meanwhile: merged, expired, or in a block now
	OtherBytes int64             `json:"otherBytes"` // of files that are neither

	wrong   int // of Damage, what can be nothing else
	shapes  map[uint64]*inspectedShape
	columns map[spool.Column]spool.Size
	parts   map[string]map[string]int64 // by kind of file
}

type inspectedFile struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"`
	Format int    `json:"format"`
	Bytes  int64  `json:"bytes"`
	Spans  int64  `json:"spans"`
}

type blockTotals struct {
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
	Spans  int64  `json:"spans"`
	Traces int64  `json:"traces"` // parts of a trace in several blocks count each
	Groups int64  `json:"groups"`
	Oldest uint64 `json:"oldest,string"`
	Newest uint64 `json:"newest,string"`
}

type logTotals struct {
	Files   int     `json:"files"`
	Bytes   int64   `json:"bytes"`
	Spans   int64   `json:"spans"`
	Records int64   `json:"records"`
	Parts   []share `json:"parts"`
}

// share is a part of the bytes. What has no values, as the trace index, has 0.
type share struct {
	Name      string   `json:"name"`
	Encodings []string `json:"encodings,omitempty"` // that with the most bytes first
	Values    int64    `json:"values"`
	Bytes     int64    `json:"bytes"`
}

type inspectedShape struct {
	Service    string `json:"service"`
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Status     string `json:"status"`
	Wide       bool   `json:"wide"` // spans that would need too many shapes or columns
	Attributes int    `json:"attributes"`
	Spans      int64  `json:"spans"`
	Bytes      int64  `json:"bytes"`
}

type inspectedColumn struct {
	Service  string `json:"service"`
	Span     string `json:"span"`
	Name     string `json:"name"`
	Type     string `json:"type,omitempty"` // of an attribute
	Encoding string `json:"encoding"`
	Values   int64  `json:"values"`
	Bytes    int64  `json:"bytes"`
}

type damaged struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	What   string `json:"what"`
}

func newInspection() *inspection {
	return &inspection{
		Files: []inspectedFile{}, Damage: []damaged{},
		shapes: map[uint64]*inspectedShape{}, columns: map[spool.Column]spool.Size{}, parts: map[string]map[string]int64{"block": {}, "log": {}},
	}
}

// add looks into a file, or all blocks and log segments of a folder.
func (in *inspection) add(ctx context.Context, path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return in.file(path)
	}
	return filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !e.Type().IsRegular() {
			return in.unlessGone(err)
		}
		if ext := filepath.Ext(path); ext == ".blk" || ext == ".log" {
			return in.unlessGone(in.file(path))
		}
		info, err := e.Info()
		if err == nil {
			in.OtherBytes += info.Size()
		}
		return in.unlessGone(err)
	})
}

// unlessGone counts a file of a folder in use that was deleted before it could be read.
func (in *inspection) unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		in.Gone++
		return nil
	}
	return err
}

func (in *inspection) file(path string) error {
	r, err := spool.Inspect(path)
	if err != nil {
		return err
	}
	in.Files = append(in.Files, inspectedFile{path, r.Kind, r.Format, r.Bytes, r.Spans})
	in.Bytes += r.Bytes
	in.Spans += r.Spans
	if r.Kind == "log" {
		in.Log.add(r)
	} else {
		in.Blocks.add(r)
	}
	for name, n := range r.Parts {
		in.parts[r.Kind][name] += n
	}
	for id, s := range r.Shapes {
		if in.shapes[id] == nil {
			in.shapes[id] = &inspectedShape{Service: s.Service, Name: s.Name, Kind: s.Kind.String(), Status: s.Status.String(), Wide: s.Wide, Attributes: s.Attributes}
		}
		in.shapes[id].Spans += s.Spans
	}
	for c, size := range r.Columns {
		sum := in.columns[c]
		in.columns[c] = spool.Size{Values: sum.Values + size.Values, Bytes: sum.Bytes + size.Bytes}
	}
	for _, d := range r.Damage {
		if d.Last {
			d.Cause += ": it is being written, a crash cut it short, or it is damaged"
		} else {
			in.wrong++
		}
		in.Damage = append(in.Damage, damaged{path, d.Offset, d.Cause})
	}
	return nil
}

func (l *logTotals) add(r *spool.Report) {
	l.Files++
	l.Bytes += r.Bytes
	l.Spans += r.Spans
	l.Records += r.Records
}

func (b *blockTotals) add(r *spool.Report) {
	b.Files++
	b.Bytes += r.Bytes
	b.Spans += r.Spans
	b.Traces += r.Traces
	b.Groups += r.Groups
	if r.Oldest != 0 && (b.Oldest == 0 || r.Oldest < b.Oldest) {
		b.Oldest = r.Oldest
	}
	b.Newest = max(b.Newest, r.Newest)
}

// sum makes the lists.
func (in *inspection) sum() {
	parts, services, attributes, encodings := shares{}, shares{}, shares{}, shares{}
	in.Columns = []inspectedColumn{}
	for c, size := range in.columns {
		s := in.shapes[c.Shape]
		s.Bytes += size.Bytes
		services.add(s.Service, "", spool.Size{Bytes: size.Bytes})
		encodings.add(c.Encoding, "", size)
		column := inspectedColumn{s.Service, s.Name, c.Name, "", c.Encoding, size.Values, size.Bytes}
		if c.Attribute {
			column.Type = c.Type.String()
			attributes.add(c.Name, c.Encoding, size)
			parts.add("attributes", c.Encoding, size)
		} else {
			parts.add(spanPart(c.Name), c.Encoding, size)
		}
		in.Columns = append(in.Columns, column)
	}
	for name, n := range in.parts["block"] {
		parts.add(name, "", spool.Size{Bytes: n})
	}
	inLog := shares{}
	for name, n := range in.parts["log"] {
		inLog.add(name, "", spool.Size{Bytes: n})
	}
	in.Log.Parts = inLog.list()
	in.Shapes = []inspectedShape{}
	for _, s := range in.shapes {
		in.Shapes = append(in.Shapes, *s)
		services.add(s.Service, "", spool.Size{Values: s.Spans})
	}
	in.Parts, in.Services, in.Attributes, in.Encodings = parts.list(), services.list(), attributes.list(), encodings.list()
	slices.SortFunc(in.Shapes, func(a, b inspectedShape) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(b.Spans, a.Spans), cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	slices.SortFunc(in.Columns, func(a, b inspectedColumn) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	slices.SortFunc(in.Files, func(a, b inspectedFile) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Path, b.Path))
	})
}

// spanPart says what a column that all spans have is for.
func spanPart(column string) string {
	switch column {
	case "resource":
		return "which resource a span has"
	case "rest":
		return "events, links and the like"
	case "name":
		return "names without a shape of their own"
	}
	return column + "s"
}

// shares collects sizes by name, and by encoding.
type shares map[string]map[string]spool.Size

func (s shares) add(name, encoding string, size spool.Size) {
	if s[name] == nil {
		s[name] = map[string]spool.Size{}
	}
	sum := s[name][encoding]
	s[name][encoding] = spool.Size{Values: sum.Values + size.Values, Bytes: sum.Bytes + size.Bytes}
}

func (s shares) list() []share {
	out := []share{}
	for name, by := range s {
		one := share{Name: name}
		for encoding, size := range by {
			one.Values += size.Values
			one.Bytes += size.Bytes
			if encoding != "" {
				one.Encodings = append(one.Encodings, encoding)
			}
		}
		slices.SortFunc(one.Encodings, func(a, b string) int { return cmp.Or(cmp.Compare(by[b].Bytes, by[a].Bytes), cmp.Compare(a, b)) })
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b share) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name)) })
	return out
}
