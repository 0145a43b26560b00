package zipkin_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clewtrace/clew/internal/testkit"
)

// peer is a server that is sent spans and asked for them: Zipkin's, or Clew.
type peer struct {
	name         string
	http, scribe string // URL and address
}

// startTimeout is how long Zipkin's server may take; on a busy machine it takes a minute.
const startTimeout = 4 * time.Minute

// autocompleteKeys are the keys whose values Zipkin's server is to remember; Clew remembers all.
const autocompleteKeys = "http.method,site"

// startZipkin starts Zipkin's server, with scribe.
func startZipkin(t *testing.T) *peer {
	t.Helper()
	java := testkit.Tool(t, "java", "a JDK, 17 or newer (Debian: openjdk-17-jdk-headless)")
	jars, err := filepath.Glob(testkit.ClassPath(t, "server"))
	if err != nil || len(jars) != 1 {
		t.Fatalf("%v are not one jar: %v", jars, err)
	}
	cmd := exec.Command(java, "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", jars[0],
		"--armeria.ports[0].port=9411", "--armeria.ports[0].address=127.0.0.1", "--armeria.ports[0].protocols[0]=http")
	cmd.Env = append(os.Environ(), "QUERY_PORT=9411", "COLLECTOR_SCRIBE_ENABLED=true", "COLLECTOR_SCRIBE_PORT=9410", "AUTOCOMPLETE_KEYS="+autocompleteKeys)
	cmd.Dir = t.TempDir()
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = testkit.Child()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("Zipkin's log ends:\n%s", log.String()[max(0, log.Len()-3000):])
		}
	})
	p := &peer{name: "zipkin", http: "http://127.0.0.1:9411", scribe: "127.0.0.1:9410"}
	for begin := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		resp, err := http.Get(p.http + "/health")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p
			}
		}
		select {
		case <-ended:
			t.Fatal("Zipkin's server ended")
		default:
		}
		if time.Since(begin) > startTimeout {
			t.Fatalf("Zipkin's server is not ready: %v", err)
		}
	}
}

// own makes a test run in a network of its own, with nothing but a loopback, and reports whether it does: if not, it has run there already.
// Zipkin's scribe listens on all interfaces, and those must not be the machine's.
func own(t *testing.T) bool {
	t.Helper()
	const inside = "CLEW_TEST_NETWORK"
	if os.Getenv(inside) != "" {
		if err := loopbackUp(); err != nil {
			t.Fatal(err)
		}
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=own")
	cmd.SysProcAttr = testkit.Child()
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	if uid := os.Geteuid(); uid != 0 { // who is not root is it among users of their own, who may have networks
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skip("Zipkin's server gets a network of its own, which here takes root")
	}
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	return false
}

// loopbackUp switches the loopback on, which in a new network is off.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr)
}

func startClew(t *testing.T) *peer {
	t.Helper()
	s := testkit.Start(t)
	return &peer{name: "clew", http: s.URL("zipkin"), scribe: s.Address("scribe")}
}
