package forward

import (
	"bytes"
	"encoding/base64"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// TestDecode holds our decoder against the batch's own, on a trace that has everything.
func TestDecode(t *testing.T) {
	b := packed(testkit.Sample()...)
	want, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(b)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d spans, %v; want %d", len(got), err, len(want))
	}
	for i := range got {
		if len(want[i].Attrs) == 0 {
			got[i].Attrs = want[i].Attrs
		}
		got[i].Attrs, want[i].Attrs = withoutNaN(got[i].Attrs), withoutNaN(want[i].Attrs)
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("%+v\nwant %+v", got[i], want[i])
		}
	}
}

func withoutNaN(attrs []trace.Attr) []trace.Attr {
	return slices.DeleteFunc(attrs, func(a trace.Attr) bool { return a.Value.Type() == trace.TypeDouble && math.IsNaN(a.Value.Double()) })
}

// TestFormat holds the files of a queue against those in testdata: whoever changes the format has to keep reading them.
func TestFormat(t *testing.T) {
	r := record{origin: origin{tenant: "team-a", via: via{{1, 2, 3, 4, 5, 6, 7, 8}, {9}}}, spans: 3, at: time.Unix(0, testkit.SampleTime), otlp: []byte("otlp")}
	log := wal.AppendRecord(wal.FileHeader(wal.SegmentMagic, wal.SegmentVersion), r.append(nil))
	testkit.Golden(t, filepath.Join("testdata", "format", "1.log"), log)
	b := mustOpen(t, t.TempDir(), 4<<20)
	if err := b.writePosition(position{7, 1 << 33}); err != nil {
		t.Fatal(err)
	}
	at, err := os.ReadFile(b.positionPath())
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, filepath.Join("testdata", "format", "1.position"), at)
	if got := b.readPosition(); got != (position{7, 1 << 33}) {
		t.Errorf("position %v", got)
	}
	b.crash()

	old, err := os.ReadFile(filepath.Join("testdata", "format", "1.log"))
	if err == nil {
		err = os.WriteFile(wal.SegmentPath(b.dir, 9), old, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	b = mustOpen(t, b.dir, 4<<20)
	j, err := b.tryTake(100)
	if err != nil || j == nil {
		t.Fatal(j, err)
	}
	if j.tenant != "team-a" || len(j.via) != 2 || j.via[1][0] != 9 || j.spans != 3 || !j.at.Equal(r.at) || !bytes.Equal(j.otlp, r.otlp) {
		t.Errorf("%+v; want %+v", j, r)
	}
	b.crash()
}

// FuzzRecord: whatever is on disk is a record or an error, and what was read is written as it was.
func FuzzRecord(f *testing.F) {
	raw, _ := numbered(7, 20)
	f.Add(raw)
	r := record{origin: origin{tenant: "a", via: via{{1}, {2}}}, spans: 1, at: time.Unix(5, 6), otlp: []byte("x")}
	f.Add(r.append(nil))
	f.Add([]byte{1, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		if again := r.append(nil); b[3] == 0 && !bytes.Equal(again, b) {
			t.Errorf("%x is written as %x", b, again)
		}
	})
}

// FuzzAnswers: whatever a destination answers is judged, and costs nothing much.
func FuzzAnswers(f *testing.F) {
	f.Add(200, "0", "", "", []byte("\x00\x00\x00\x00\x09\x0a\x07\x08\x05\x12\x03why"))
	f.Add(503, "", "Wed, 21 Oct 2015 07:28:00 GMT", "", []byte("later"))
	f.Add(200, "8", "99999999999999999999", base64.RawStdEncoding.EncodeToString([]byte("\x08\x08\x12\x05later")), []byte(nil))
	f.Fuzz(func(t *testing.T, status int, code, after, details string, body []byte) {
		for _, protocol := range []string{OTLPGRPC, OTLPHTTP, JaegerGRPC, Zipkin} {
			c := &client{Config: &Config{Protocol: protocol}}
			h := http.Header{"Retry-After": {after}, "Grpc-Status": {code}, "Grpc-Status-Details-Bin": {details}, "Grpc-Message": {after}}
			resp := &http.Response{StatusCode: status, Header: h}
			for _, a := range []answer{c.httpAnswer(resp, body), c.grpcAnswer(resp, body, nil)} {
				if a.after < 0 || a.rejected < 0 || len(a.text) > 4096 {
					t.Errorf("%+v", a)
				}
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	spans := spansFrom(0, 500, "shop")
	for i := range spans {
		for _, k := range []string{"http.request.method", "server.address", "url.scheme", "user_agent.original", "network.protocol.version", "client.address"} {
			spans[i].Attrs = append(spans[i].Attrs, trace.Attr{Key: k, Value: trace.String("some value of " + k)})
		}
	}
	otlp := trace.AppendTraces(nil, spans)
	for _, protocol := range []string{JaegerGRPC, JaegerHTTP, Zipkin} {
		b.Run(protocol, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := encode(protocol, otlp); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(spans)), "ns/span")
		})
	}
}
