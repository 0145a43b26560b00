// Package testkit starts the real clew in tests: the binary, on free ports of the loopback, with a data folder of its own.
package testkit

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is a running clew serve.
type Server struct {
	Dir string // its data folder

	cmd    *exec.Cmd
	listen map[string]string
	mu     sync.Mutex
	log    []string
	done   chan struct{} // closed when the process is gone and its log is read
	waited error
}

// startTimeout is how long a server may take until it is ready; a race-built one on a busy machine is slow.
const startTimeout = 60 * time.Second

// binary is built once for all tests of a process; go's cache makes the second build of a machine cheap.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("CLEW_BIN"); path != "" {
		return path, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", "clew-test")
	// Test processes of several packages build at the same time: each its own file, then one rename.
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	cmd := exec.Command("go", "build", "-o", tmp, "./cmd/clew")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build clew: %w\n%s", err, out)
	}
	return path, os.Rename(tmp, path)
})

// Root returns the repository's root, found by its go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", fmt.Errorf("no go.mod above the working folder")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// Binary returns the path of the clew binary under test: $CLEW_BIN, or one built now.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Start starts clew serve on a fresh folder, with flags, and ends it with the test.
func Start(t testing.TB, flags ...string) *Server {
	t.Helper()
	return StartIn(t, t.TempDir(), flags...)
}

// StartIn starts clew serve on a folder. It fails the test if the server does not become ready.
func StartIn(t testing.TB, dir string, flags ...string) *Server {
	t.Helper()
	s, err := Launch(Binary(t), dir, flags...)
	return started(t, s, err)
}

// StartDemo starts clew demo as Start starts clew serve.
func StartDemo(t testing.TB, flags ...string) *Server {
	t.Helper()
	s, err := launch(Binary(t), "demo", t.TempDir(), flags)
	return started(t, s, err)
}

func started(t testing.TB, s *Server, err error) *Server {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.Ended() {
			s.Kill()
		}
		if t.Failed() {
			t.Logf("log of clew:\n%s", strings.Join(s.Log(), "\n"))
		}
	})
	return s
}

// Launch starts a clew binary on a folder and returns when it is ready. The caller ends it.
func Launch(binary, dir string, flags ...string) (*Server, error) {
	return launch(binary, "serve", dir, flags)
}

// listeners are the names of all listeners.
var listeners = []string{
	"otlp_grpc", "otlp_http", "zipkin", "scribe", "jaeger_compact", "jaeger_binary", "jaeger_http", "jaeger_grpc", "sampling_http", "sampling_grpc", "query", "query_grpc", "tempo", "admin",
}

// Listen returns flags that put all listeners at an address; an empty one switches them off. Flags behind them may say otherwise.
func Listen(address string) (flags []string) {
	for _, l := range listeners {
		flags = append(flags, "--listen."+l, address)
	}
	return flags
}

func launch(binary, command, dir string, flags []string) (*Server, error) {
	args := []string{command, "--data", dir, "--log.format", "json", "--log.level", "debug"}
	args = append(args, Listen("127.0.0.1:0")...)
	s := &Server{Dir: dir, cmd: exec.Command(binary, append(args, flags...)...), done: make(chan struct{})}
	s.cmd.SysProcAttr = Child()
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan map[string]string, 1)
	go s.read(stderr, ready)
	select {
	case s.listen = <-ready:
		return s, nil
	case <-s.done:
		return nil, fmt.Errorf("clew ended before it was ready: %w\n%s", s.waited, strings.Join(s.Log(), "\n"))
	case <-time.After(startTimeout):
		s.Kill()
		return nil, fmt.Errorf("clew was not ready in %v\n%s", startTimeout, strings.Join(s.Log(), "\n"))
	}
}

func (s *Server) read(r io.Reader, ready chan<- map[string]string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		s.mu.Lock()
		s.log = append(s.log, line)
		s.mu.Unlock()
		var entry struct {
			Msg    string
			Listen map[string]string
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "clew is ready" {
			ready <- entry.Listen
		}
	}
	_, _ = io.Copy(io.Discard, r) // a line that was too long
	s.waited = s.cmd.Wait()
	close(s.done)
}

// Address returns the host:port of a listener: otlp_grpc, zipkin, query, admin, and others.
func (s *Server) Address(listener string) string { return s.listen["listen."+listener] }

// URL returns the base URL of an HTTP listener, without a slash at its end.
func (s *Server) URL(listener string) string { return "http://" + s.Address(listener) }

// PID returns the server's process ID.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// CPU returns the user and system time that a server used which has ended.
func (s *Server) CPU() time.Duration {
	<-s.done
	return s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime()
}

// Log returns the lines that the server has logged so far, JSON each.
func (s *Server) Log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

// Logged returns the log lines that contain all of some texts.
func (s *Server) Logged(texts ...string) []string {
	var out []string
	for _, line := range s.Log() {
		has := true
		for _, text := range texts {
			has = has && strings.Contains(line, text)
		}
		if has {
			out = append(out, line)
		}
	}
	return out
}

// Ended reports whether the process is gone.
func (s *Server) Ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Kill ends the server at once, as a crash would (SIGKILL), and waits until it is gone.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.done
}

// Stop asks the server to stop (SIGTERM), waits, and returns how it ended: nil for status 0.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !s.Ended() {
		return err
	}
	<-s.done
	return s.waited
}
