package testkit

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// FreeAddresses returns addresses of the loopback that are free now, for servers that do not tell what port they were given. Their ports are below those that
// systems give to who asks for any: a server may take half a minute until it listens, while tests beside it open thousands of connections.
func FreeAddresses(t testing.TB, n int) []string {
	t.Helper()
	const first, behind = 20000, 32768
	var out []string
	for range 100 * n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(behind-first)))
		if err != nil {
			continue // somebody listens there
		}
		defer func() { _ = l.Close() }() // when all are found, so that they differ
		if out = append(out, l.Addr().String()); len(out) == n {
			return out
		}
	}
	t.Fatalf("no %d ports of %d to %d are free", n, first, behind-1)
	return nil
}

// logged is what a process writes, for two streams at once.
type logged struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(b)
}

// peerTimeout is how long a server that is not ours may take to start: Zipkin's, on a busy machine, takes a minute.
const peerTimeout = 4 * time.Minute

// StartPeer starts a server that is not Clew, waits until ready says yes, and kills it when the test ends: it has nothing to lose, and to stop in order takes some 20 s.
func StartPeer(t testing.TB, cmd *exec.Cmd, ready func() bool) {
	t.Helper()
	out := &logged{}
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, Child()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ends is its own affair
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		if t.Failed() {
			text := out.log.String()
			t.Logf("log of %s:\n%s", filepath.Base(cmd.Path), text[max(0, len(text)-5000):])
		}
	})
	for end := time.Now().Add(peerTimeout); !ready(); time.Sleep(50 * time.Millisecond) {
		select {
		case <-done:
			t.Fatalf("%s has ended", filepath.Base(cmd.Path))
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s is not ready in %v", filepath.Base(cmd.Path), peerTimeout)
		}
	}
}

// Listening returns a function that reports whether something listens at all of some addresses.
func Listening(addresses ...string) func() bool {
	return func() bool {
		for _, a := range addresses {
			c, err := net.Dial("tcp", a)
			if err != nil {
				return false
			}
			_ = c.Close()
		}
		return true
	}
}

// Zipkin starts Zipkin's server, of which ClassPath in dir has the jar, at an address, and returns its URL. It keeps spans in memory.
func Zipkin(t testing.TB, dir, address string, environ ...string) string {
	t.Helper()
	java := Tool(t, "java", "a JDK, 17 or newer (Debian: openjdk-17-jdk-headless)")
	jars, err := filepath.Glob(ClassPath(t, dir))
	if err != nil || len(jars) != 1 {
		t.Fatalf("%v are not one jar: %v", jars, err)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(java, "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", jars[0],
		"--armeria.ports[0].port="+port, "--armeria.ports[0].address="+host, "--armeria.ports[0].protocols[0]=http")
	cmd.Env, cmd.Dir = append(append(os.Environ(), "QUERY_PORT="+port), environ...), t.TempDir()
	StartPeer(t, cmd, func() bool {
		resp, err := http.Get("http://" + address + "/health")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return "http://" + address
}

// Jaeger returns the path of Jaeger 2, built of the module that test/conformance/jaeger pins. To build it the first time takes minutes: it is kept in the
// user's cache, and test processes side by side wait for the one that builds it.
func Jaeger(t testing.TB) string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	p := pins{dir: filepath.Join(root, "test", "conformance", "jaeger"), files: []string{"go.mod", "go.sum"}, install: func(at string) error {
		return run(t, at, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", "jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger")
	}}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(filepath.Join(cache, "clew-test-jaeger.lock"))
	if err != nil {
		t.Fatal(fmt.Errorf("lock the build of Jaeger: %w", err))
	}
	defer unlock()
	return filepath.Join(p.installed(t), "jaeger")
}
