package receive

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/clewtrace/clew/trace"
)

const maxBody = 1 << 20

func request(encoding string, body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", body)
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	return r
}

func gzipped(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, p := range parts {
		z := gzip.NewWriter(&out)
		if _, err := z.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func zstded(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(b, nil)
}

// noise is bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestRead(t *testing.T) {
	r := NewBodies(maxBody, 8*maxBody)
	for _, want := range [][]byte{{}, []byte("hello"), bytes.Repeat([]byte("spans "), 30_000), noise(maxBody), noise(16 << 10), noise(16<<10 + 1)} {
		for name, in := range map[string]struct {
			encoding string
			body     []byte
		}{
			"plain":       {"", want},
			"identity":    {"identity", want},
			"gzip":        {"gzip", gzipped(t, want)},
			"GZIP":        {" GZIP ", gzipped(t, want)},
			"x-gzip":      {"x-gzip", gzipped(t, want)},
			"two members": {"gzip", gzipped(t, want[:len(want)/3], want[len(want)/3:])},
			"zstd":        {"zstd", zstded(t, want)},
			"two frames":  {"zstd", append(zstded(t, want[:len(want)/3]), zstded(t, want[len(want)/3:])...)},
		} {
			if len(in.body) > maxBody { // noise becomes larger
				continue
			}
			b, err := r.Read(request(in.encoding, bytes.NewReader(in.body)))
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

// zstdBomb is a frame with a window of 1 MiB whose blocks say "128 KiB of zeros" in 4 bytes each.
func zstdBomb(blocks int) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50}
	b = append(b, bytes.Repeat([]byte{0x02, 0, 0x10, 0}, blocks-1)...)
	return append(b, 0x03, 0, 0x10, 0)
}

// TestBombs: a small body that inflates to a large one costs no more than the limit.
func TestBombs(t *testing.T) {
	for encoding, bomb := range map[string][]byte{
		"zstd": zstdBomb(80_000),                                      // 320 kB become 10 GB
		"gzip": bytes.Repeat(gzipped(t, make([]byte, 1<<20)), 10_000), // 10 MB become 10 GB
	} {
		if b, err := NewBodies(64<<20, 256<<20).Read(request("zstd", bytes.NewReader(zstdBomb(80)))); err != nil || len(b.Bytes) != 80<<17 {
			t.Fatalf("a small bomb is no body: %v", err)
		}
		r := NewBodies(64<<20, 256<<20)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, err := r.Read(request(encoding, bytes.NewReader(bomb)))
		runtime.ReadMemStats(&after)
		if trace.KindOf(err) != trace.TooLarge || !strings.Contains(err.Error(), "larger than 67108864 bytes (decompressed)") {
			t.Errorf("%s: %v", encoding, err)
		}
		// The buffers double up to what they hold: 128 MiB altogether, 32 more for the body as it came, and a window.
		allocated := after.TotalAlloc - before.TotalAlloc
		if allocated > 256<<20 {
			t.Errorf("%s: %d MiB were allocated", encoding, allocated>>20)
		}
		t.Logf("%s: %d bytes that would be 10 GB: %d MiB were allocated", encoding, len(bomb), allocated>>20)
		if held := r.held.Load(); held != 0 {
			t.Errorf("%s: %d bytes are still held", encoding, held)
		}
	}
}

// TestZstdPromises: a frame that claims a huge window or size is not believed.
func TestZstdPromises(t *testing.T) {
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	block := []byte{0x03, 0, 0x10, 0} // last block, RLE, 128 KiB of one byte
	for name, header := range map[string][]byte{
		"window of 2 GiB":        {0x00, 0xa8},
		"window of 16 MiB":       {0x00, 0x70},
		"8 GiB in one segment":   {0xe0, 0, 0, 0, 0, 2, 0, 0, 0},
		"9 MiB in one segment":   {0xa0, 0, 0, 0x90, 0},
		"size of 8 GiB, no less": {0xc0, 0x00, 0, 0, 0, 0, 2, 0, 0, 0},
	} {
		body := append(append(append([]byte{}, magic...), header...), block...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		b, err := NewBodies(64<<20, 256<<20).Read(request("zstd", bytes.NewReader(body)))
		runtime.ReadMemStats(&after)
		if err == nil {
			b.Release()
		}
		if trace.KindOf(err) != trace.Invalid || err == nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
			t.Errorf("%s: %d MiB were allocated", name, n>>20)
		}
	}
}

func TestReadErrors(t *testing.T) {
	whole := bytes.Repeat([]byte("spans "), 3000)
	z, s := gzipped(t, whole), zstded(t, whole)
	wrongSum := bytes.Clone(z)
	wrongSum[len(wrongSum)-6]++
	r := NewBodies(maxBody, 8*maxBody)
	f := func(name, encoding string, body io.Reader, kind trace.ErrorKind, want string) {
		t.Helper()
		b, err := r.Read(request(encoding, body))
		if err == nil {
			b.Release()
		}
		if trace.KindOf(err) != kind || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %v with %q", name, err, kind, want)
		}
	}
	f("not gzip", "gzip", strings.NewReader("plain text"), trace.Invalid, "body is not gzip")
	f("nothing", "gzip", strings.NewReader(""), trace.Invalid, "body is not gzip")
	f("gzip cut off", "gzip", bytes.NewReader(z[:len(z)-9]), trace.Invalid, "body is broken gzip: unexpected EOF")
	f("gzip, wrong sum", "gzip", bytes.NewReader(wrongSum), trace.Invalid, "body is broken gzip: gzip: invalid checksum")
	f("gzip, then something else", "gzip", bytes.NewReader(append(bytes.Clone(z), "tail"...)), trace.Invalid, "body is broken gzip")
	f("not zstd", "zstd", strings.NewReader("plain text"), trace.Invalid, "body is broken zstd")
	f("zstd cut off", "zstd", bytes.NewReader(s[:len(s)-3]), trace.Invalid, "body is broken zstd")
	f("unknown", "br", strings.NewReader(""), trace.Invalid, "not one of gzip, zstd, identity")
	f("two at once", "gzip, gzip", strings.NewReader(""), trace.Invalid, "not one of")
	f("one byte too many", "", bytes.NewReader(noise(maxBody+1)), trace.TooLarge, "larger than 1048576 bytes")
	f("more than announced", "", io.MultiReader(bytes.NewReader(noise(maxBody)), strings.NewReader("x")), trace.TooLarge, "larger than")
	f("connection lost", "", io.MultiReader(strings.NewReader("abc"), broken{errors.New("reset by peer")}), trace.Invalid, "body cannot be read: reset by peer")
	if held := r.held.Load(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
	// The decoders are used again after errors.
	for _, in := range []*http.Request{request("gzip", bytes.NewReader(z)), request("zstd", bytes.NewReader(s))} {
		b, err := r.Read(in)
		if err != nil || !bytes.Equal(b.Bytes, whole) {
			t.Fatalf("after errors: %v", err)
		}
		b.Release()
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// TestHeld: bytes that are being received at once are bounded, by whoever reads them.
func TestHeld(t *testing.T) {
	r := NewBodies(maxBody, 100<<10)
	first, err := r.Read(request("", bytes.NewReader(noise(60<<10))))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Read(request("", bytes.NewReader(noise(60<<10))))
	if trace.KindOf(err) != trace.Busy {
		t.Errorf("the second body: %v; want busy", err)
	}
	if _, err := r.Hold(60 << 10); trace.KindOf(err) != trace.Busy {
		t.Errorf("holding: %v; want busy", err)
	}
	first.Release()
	release, err := r.Hold(100 << 10)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	release()
	if held := r.held.Load(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

// TestSmallAfterLarge: small bodies do not take the place of the large ones whose memory they use again.
func TestSmallAfterLarge(t *testing.T) {
	r := NewBodies(4*maxBody, 16*maxBody)
	read := func(n, size int) (bodies []*Body) {
		for range n {
			b, err := r.Read(request("", bytes.NewReader(noise(size))))
			if err != nil {
				t.Fatalf("%d bodies of %d bytes: %v", len(bodies), size, err)
			}
			bodies = append(bodies, b)
		}
		return bodies
	}
	release := func(bodies []*Body) {
		for _, b := range bodies {
			b.Release()
		}
	}
	release(read(4, 3*maxBody))
	small := read(100, 1000)
	if held := r.held.Load(); held > 100*(16<<10) {
		t.Errorf("100 bodies of 1 kB hold %d bytes", held)
	}
	release(small)
	if held := r.held.Load(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}
