package clew

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/clewtrace/clew/insight"
	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

func headerBytes(b []byte) int { return int(binary.LittleEndian.Uint32(b[4:])) }

// decoded is the columns as the document says that they are to be read.
type decoded struct {
	Version, Start, TraceID   string
	DurationNs                uint64
	Rows, Spans, Errors, Gaps int
	Services, Names           []string
	Columns                   []columnInfo

	data []byte
}

func decodeColumns(t *testing.T, b []byte) (d decoded) {
	t.Helper()
	if string(b[:4]) != "CLC1" {
		t.Fatalf("begins with %q", b[:4])
	}
	n := headerBytes(b)
	if (8+n)%8 != 0 {
		t.Errorf("the header has %d bytes", n)
	}
	if err := json.Unmarshal(b[8:8+n], &d); err != nil {
		t.Fatal(err)
	}
	d.data = b[8+n:]
	end := 0
	for _, c := range d.Columns {
		if c.Offset%8 != 0 || c.Offset < end || c.Offset-end >= 8 {
			t.Errorf("column %s is at %d, the one before ends at %d", c.Name, c.Offset, end)
		}
		end = c.Offset + c.Bytes
	}
	if end != len(d.data) {
		t.Errorf("the columns end at %d of %d", end, len(d.data))
	}
	return d
}

// column returns a column's values as text, one a row.
func (d *decoded) column(t *testing.T, name, typ string, size int) []string {
	t.Helper()
	for _, c := range d.Columns {
		if c.Name != name {
			continue
		}
		if c.Type != typ || c.Bytes != d.Rows*size {
			t.Fatalf("column %s has type %s and %d bytes; want %s and %d", name, c.Type, c.Bytes, typ, d.Rows*size)
		}
		out := make([]string, d.Rows)
		for i := range out {
			b := d.data[c.Offset+i*size:][:size]
			switch {
			case typ == "f64":
				out[i] = fmt.Sprint(math.Float64frombits(binary.LittleEndian.Uint64(b)))
			case typ == "i32":
				out[i] = fmt.Sprint(int32(binary.LittleEndian.Uint32(b)))
			case typ == "u32":
				out[i] = fmt.Sprint(binary.LittleEndian.Uint32(b))
			case typ == "u16":
				out[i] = fmt.Sprint(binary.LittleEndian.Uint16(b))
			case size == 8:
				out[i] = trace.SpanID(b).String()
			default:
				out[i] = fmt.Sprint(b[0])
			}
		}
		return out
	}
	t.Fatalf("there is no column %s", name)
	return nil
}

// TestColumns decodes the binary form and holds each column against the trace.
func TestColumns(t *testing.T) {
	spans := testkit.Sample()
	s := server(t, spans)
	_, body := s.get(t, "/api/v1/traces/"+sampleID()+"/columns")
	d := decodeColumns(t, body)
	tree := trace.Arrange(spans)
	times := insight.Measure(spans, tree)
	if d.TraceID != sampleID() || d.Version != "7" || d.Start != fmt.Sprint(uint64(testkit.SampleTime)) || d.DurationNs != 100_000_000 ||
		d.Rows != 8 || d.Spans != 7 || d.Errors != 2 || d.Gaps != 1 || len(d.Columns) != 11 {
		t.Errorf("header %+v", d)
	}
	service, name := d.column(t, "service", "u32", 4), d.column(t, "name", "u32", 4)
	type row struct{ start, duration, self, id, parent, size, depth, kind, flags string }
	for i, r := range tree.Rows {
		at := func(name, typ string, size int) string { return d.column(t, name, typ, size)[i] }
		got := row{
			at("start", "f64", 8), at("duration", "f64", 8), at("self", "f64", 8), at("spanId", "u8", 8), at("parent", "i32", 4), at("size", "u32", 4),
			at("depth", "u16", 2), at("kind", "u8", 1), at("flags", "u8", 1),
		}
		want := row{
			start: fmt.Sprint(float64(times.Start[i] - testkit.SampleTime)), duration: fmt.Sprint(float64(times.End[i] - times.Start[i])), self: fmt.Sprint(float64(times.Self[i])),
			id: r.ID.String(), parent: fmt.Sprint(r.Parent), size: fmt.Sprint(r.Size), depth: fmt.Sprint(r.Depth), kind: "0",
		}
		flags := 0
		set := func(on bool, bit int) {
			if on {
				flags |= 1 << bit
			}
		}
		set(times.Critical[i], 1)
		set(r.Span < 0, 2)
		wantService, wantName := "", ""
		if r.Span >= 0 {
			span := &spans[r.Span]
			wantService, wantName, want.kind = span.Service(), span.Name, fmt.Sprint(int(span.Kind))
			set(span.Status == trace.StatusError, 0)
			set(len(span.Events) > 0, 3)
			set(len(span.Links) > 0, 4)
			if r.Parent >= 0 && tree.Rows[r.Parent].Span >= 0 {
				p := &spans[tree.Rows[r.Parent].Span]
				set(span.Start < p.Start || max(span.Start, span.End) > p.End, 5)
			}
		}
		want.flags = fmt.Sprint(flags)
		if got != want {
			t.Errorf("row %d:\n got %+v\nwant %+v", i, got, want)
		}
		k, err1 := strconv.Atoi(service[i])
		l, err2 := strconv.Atoi(name[i])
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if d.Services[k] != wantService || d.Names[l] != wantName {
			t.Errorf("row %d is of %q, %q; want %q, %q", i, d.Services[k], d.Names[l], wantService, wantName)
		}
	}
	// And what the rows are, said by hand: pre-order, siblings by start.
	want := "ee00000000000001 ee00000000000002 ee00000000000002 ee00000000000003 ee00000000000004 ee00000000000006 ee00000000000077 ee00000000000005"
	if got := strings.Join(d.column(t, "spanId", "u8", 8), " "); got != want {
		t.Errorf("rows are\n%s; want\n%s", got, want)
	}
	if got := strings.Join(d.column(t, "depth", "u16", 2), " "); got != "0 1 2 3 1 0 0 1" {
		t.Errorf("depths are %s", got)
	}
}

// TestRowsOfAState checks that rows are of the columns that were loaded, though the trace has grown since.
func TestRowsOfAState(t *testing.T) {
	spans := testkit.Sample()
	s := server(t, spans[1:])
	path := "/api/v1/traces/" + sampleID()
	_, before := s.get(t, path+"/columns")
	d := decodeColumns(t, before)
	s.append(t, spans[:1]) // the root comes late, and moves all rows
	_, rows := s.get(t, path+"/rows?from=0&to=1&version="+d.Version)
	if !strings.Contains(string(rows), `"spanId":"`+d.column(t, "spanId", "u8", 8)[0]+`"`) {
		t.Errorf("row 0 is not of the columns that were loaded: %s", rows)
	}
	_, after := s.get(t, path+"/columns")
	if got := decodeColumns(t, after); got.Version == d.Version || got.Spans != len(spans) {
		t.Errorf("version %s with %d spans, was %s", got.Version, got.Spans, d.Version)
	}
}
