package backup

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	// attempts is how often a file is asked for whose connection breaks off.
	attempts = 5
	// stall is how long the server may be silent: it sums a file up before it sends it.
	stall = 5 * time.Minute
	// releaseTime is how long giving a snapshot back may take. One that is not is dropped by the server itself.
	releaseTime = 10 * time.Second
)

// server is the admin port of a running server, and the snapshot that was taken there.
type server struct {
	url     string
	id      string
	created time.Time
	headers map[string]string
	client  *http.Client
}

// dial returns the server at an admin port: a URL, or host:port for http.
func dial(o Options) (*server, error) {
	address := o.Admin
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(strings.TrimSuffix(address, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("admin port %q: want a URL such as http://127.0.0.1:14269", address)
	}
	client := o.Client
	if client == nil {
		client = http.DefaultClient
	}
	return &server{url: u.String(), headers: o.Headers, client: client}, nil
}

// call sends a request and returns the answer, of which the caller closes the body. An answer that is not of the status is an error.
func (s *server) call(r *http.Request, status int) (*http.Response, error) {
	for name, value := range s.headers {
		r.Header.Set(name, value)
	}
	resp, err := s.client.Do(r)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("nobody listens at %s: is clew serve running, and is this its admin port? Of a server that is stopped, copy the data folder", s.url)
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == status {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var e struct{ Error struct{ Message string } }
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // the status tells enough
	if json.Unmarshal(raw, &e) != nil {
		e.Error.Message = strings.TrimSpace(string(raw))
	}
	if r.Method == http.MethodPost && resp.StatusCode == http.StatusNotFound {
		e.Error.Message = "is this the admin port of clew serve?"
	}
	return nil, fmt.Errorf("%s %s: %s: %.300s", r.Method, r.URL.Redacted(), resp.Status, e.Error.Message)
}

// snapshot makes the server hold all that it has acknowledged so far, and returns its files.
func (s *server) snapshot(ctx context.Context) ([]File, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/v1/snapshots", nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.call(r, http.StatusCreated)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var a struct {
		ID      string
		Created time.Time
		Files   []File
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return nil, fmt.Errorf("%s: no snapshot in the answer: %w", r.URL.Redacted(), err)
	}
	s.id, s.created = a.ID, a.Created
	if a.Files == nil { // in JSON a list all the same
		a.Files = []File{}
	}
	for i := range a.Files {
		if err := a.Files[i].check(); err != nil {
			s.release(ctx)
			return nil, err
		}
	}
	return a.Files, nil
}

// release gives the snapshot back, also when ctx is over.
func (s *server) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, s.url+"/api/v1/snapshots/"+s.id, nil)
	if err != nil {
		return
	}
	if resp, err := s.call(r, http.StatusNoContent); err == nil {
		_ = resp.Body.Close()
	}
}

// fetch copies a file of the snapshot, goes on where a connection broke off, and checks what came against the sum that the server says.
func (s *server) fetch(ctx context.Context, f *File, to *os.File) error {
	c := &copying{server: s, file: f, to: to, sum: sha256.New()}
	var err error
	for range attempts {
		if err = c.rest(ctx); err == nil || ctx.Err() != nil || c.fatal {
			break
		}
	}
	if err != nil {
		return err
	}
	f.Sum = hex.EncodeToString(c.sum.Sum(nil))
	if f.Sum != c.want {
		return errors.New("what arrived is not what the server sent: its checksum is wrong; try again")
	}
	return nil
}

// copying is a file of which a part has been copied.
type copying struct {
	server *server
	file   *File
	to     *os.File
	sum    hash.Hash
	done   int64
	want   string // the sum that the server says, in hexadecimal
	fatal  bool   // trying again is useless
}

func (c *copying) rest(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(stall, cancel)
	defer silent.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server.url+"/api/v1/snapshots/"+c.server.id+"/files/"+c.file.Name, nil)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if c.done > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", c.done))
		status = http.StatusPartialContent
	}
	resp, err := c.server.call(r, status)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if c.want, err = digest(resp.Header.Get("Repr-Digest")); err != nil {
		return err
	}
	body := io.LimitReader(resp.Body, c.file.Bytes-c.done+1)
	buf := make([]byte, 256<<10)
	for {
		n, err := body.Read(buf)
		silent.Reset(stall)
		if _, werr := c.to.Write(buf[:n]); werr != nil {
			c.fatal = true
			return werr
		}
		_, _ = c.sum.Write(buf[:n]) // never fails
		c.done += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if c.done != c.file.Bytes {
		return fmt.Errorf("%d bytes came of %d", c.done, c.file.Bytes)
	}
	return nil
}

// digest reads the header's form of RFC 9530, sha-256=:BASE64:.
func digest(header string) (string, error) {
	const head, tail = "sha-256=:", ":"
	if len(header) > len(head)+len(tail) && header[:len(head)] == head {
		if raw, err := base64.StdEncoding.DecodeString(header[len(head) : len(header)-len(tail)]); err == nil {
			return hex.EncodeToString(raw), nil
		}
	}
	return "", fmt.Errorf("no checksum came with the file: %q", header)
}
