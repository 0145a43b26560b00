package receive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/clewtrace/clew/trace"
)

// call is a call of gRPC with a body as it is.
func call(encoding string, body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", body)
	if encoding != "" {
		r.Header.Set("Grpc-Encoding", encoding)
	}
	return r
}

func message(flag byte, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(payload))), payload...)
}

func TestReadMessage(t *testing.T) {
	r := NewBodies(maxBody, 8*maxBody)
	for _, want := range [][]byte{{}, []byte("hello"), bytes.Repeat([]byte("spans "), 30_000), noise(maxBody), noise(16 << 10), noise(16<<10 + 1)} {
		for name, in := range map[string]struct {
			encoding string
			body     []byte
		}{
			"plain":                  {"", message(0, want)},
			"identity":               {"identity", message(0, want)},
			"gzip":                   {"gzip", message(1, gzipped(t, want))},
			"gzip, but not this one": {"gzip", message(0, want)},
			"zstd":                   {"zstd", message(1, zstded(t, want))},
			"zstd, but not this one": {"zstd", message(0, want)},
			"gzip, of two parts":     {"gzip", message(1, gzipped(t, want[:len(want)/3], want[len(want)/3:]))},
			"gzip, in large letters": {"GZIP", message(1, gzipped(t, want))},
		} {
			if len(in.body) > maxBody+5 { // noise becomes larger
				continue
			}
			b, err := r.ReadMessage(t.Context(), call(in.encoding, bytes.NewReader(in.body)))
			if err != nil {
				t.Errorf("%s of %d bytes: %v", name, len(want), err)
				continue
			}
			if !bytes.Equal(b.Bytes, want) {
				t.Errorf("%s of %d bytes: %d came out", name, len(want), len(b.Bytes))
			}
			b.Release()
		}
	}
	if held := r.held.Load(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

func TestReadMessageErrors(t *testing.T) {
	r := NewBodies(maxBody, 8*maxBody)
	whole := message(0, noise(100_000))
	slow := func(n int) io.Reader {
		return io.MultiReader(bytes.NewReader(whole[:n]), broken{os.ErrDeadlineExceeded})
	}
	gone := func(n int) io.Reader {
		return io.MultiReader(bytes.NewReader(whole[:n]), broken{errors.New("stream closed")})
	}
	for name, c := range map[string]struct {
		encoding string
		body     io.Reader
		kind     trace.ErrorKind
		reason   string
		message  string
	}{
		"unknown encoding":     {"br", bytes.NewReader(whole), trace.Invalid, "content_encoding", "not one of"},
		"slow in the head":     {"", slow(3), trace.Busy, "cut_off", "did not arrive in time"},
		"slow in the message":  {"", slow(60_000), trace.Busy, "cut_off", "did not arrive in time"},
		"slow behind it":       {"", slow(len(whole)), trace.Busy, "cut_off", "did not arrive in time"},
		"gone in the head":     {"", gone(0), trace.Invalid, "cut_off", "stream closed"},
		"gone in the message":  {"", gone(60_000), trace.Invalid, "cut_off", "stream closed"},
		"gone behind it":       {"", gone(len(whole)), trace.Invalid, "cut_off", "stream closed"},
		"nothing":              {"", strings.NewReader(""), trace.Invalid, "invalid", "before its message begins"},
		"short":                {"", bytes.NewReader(whole[:60_000]), trace.Invalid, "invalid", "of 100000 bytes ends after 59995"},
		"something behind it":  {"", io.MultiReader(bytes.NewReader(whole), strings.NewReader("x")), trace.Invalid, "invalid", "goes on after"},
		"too large":            {"", bytes.NewReader(message(0, noise(maxBody+1))), trace.TooLarge, "too_large", "larger than"},
		"too large, gzip":      {"gzip", bytes.NewReader(message(1, gzipped(t, make([]byte, maxBody+1)))), trace.TooLarge, "too_large", "(decompressed)"},
		"too large, zstd":      {"zstd", bytes.NewReader(message(1, zstdBomb(80_000))), trace.TooLarge, "too_large", "(decompressed)"},
		"not gzip":             {"gzip", bytes.NewReader(message(1, []byte("plain text"))), trace.Invalid, "invalid", "not gzip"},
		"marked without a way": {"", bytes.NewReader(message(1, []byte("plain text"))), trace.Invalid, "invalid", "does not say how"},
		"unknown mark":         {"", bytes.NewReader(message(7, nil)), trace.Invalid, "invalid", "first byte is 7"},
	} {
		b, err := r.ReadMessage(t.Context(), call(c.encoding, c.body))
		if err == nil {
			b.Release()
		}
		if trace.KindOf(err) != c.kind || err == nil || BodyReason(err) != c.reason || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v, reason %s; want %v, %s, with %q", name, err, BodyReason(err), c.kind, c.reason, c.message)
		}
		if held := r.held.Load(); held != 0 {
			t.Errorf("%s: %d bytes are still held", name, held)
		}
	}
}

// TestMessageInTransit: what is held of a message is at most twice what has come of it, whatever its head says.
func TestMessageInTransit(t *testing.T) {
	r := NewBodies(64*maxBody, 128*maxBody)
	in, client := io.Pipe()
	done := make(chan error, 1)
	go func() {
		b, err := r.ReadMessage(t.Context(), call("", in))
		if err == nil {
			b.Release()
		}
		done <- err
	}()
	send := func(b []byte) {
		if _, err := client.Write(b); err != nil {
			t.Error(err)
		}
	}
	send(binary.BigEndian.AppendUint32([]byte{0}, 64*maxBody))
	if held := r.held.Load(); held > 16<<10 {
		t.Errorf("%d bytes are held of a message of which nothing came", held)
	}
	for sent := 0; sent < maxBody; {
		const part = 10_000
		send(make([]byte, part)) // returns when it has been read
		sent += part
		if held := r.held.Load(); held > int64(max(16<<10, 2*sent)) {
			t.Errorf("%d bytes are held when %d have come", held, sent)
		}
	}
	_ = client.CloseWithError(os.ErrDeadlineExceeded)
	if err := <-done; BodyReason(err) != "cut_off" {
		t.Error(err)
	}
	if held := r.held.Load(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

// FuzzReadMessage: whatever comes, there is a message within the limit or an error, and nothing stays held.
func FuzzReadMessage(f *testing.F) {
	for _, encoding := range []string{"", "gzip", "zstd"} {
		f.Add(encoding, message(0, []byte("hello")))
		f.Add(encoding, append(message(0, nil), message(0, nil)...))
		f.Add(encoding, []byte{0, 0xff, 0xff, 0xff, 0xff, 'a'})
	}
	f.Add("gzip", message(1, gzipped(f, []byte("hello"), []byte("world"))))
	f.Add("zstd", message(1, zstdBomb(80)))
	r := NewBodies(100_000, 1<<20)
	f.Fuzz(func(t *testing.T, encoding string, body []byte) {
		req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		req.Header["Grpc-Encoding"] = []string{encoding}
		b, err := r.ReadMessage(t.Context(), req)
		if err == nil {
			if len(b.Bytes) > 100_000 {
				t.Errorf("a message of %d bytes", len(b.Bytes))
			}
			if body[0] == 0 && !bytes.Equal(b.Bytes, body[5:]) {
				t.Errorf("%q came as %q", body, b.Bytes)
			}
			b.Release()
		} else if kind := trace.KindOf(err); kind != trace.Invalid && kind != trace.TooLarge {
			t.Errorf("%v: %v", kind, err)
		}
		if held := r.held.Load(); held != 0 {
			t.Errorf("%d bytes are still held", held)
		}
	})
}
