package zipkin_test

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clewtrace/clew/internal/testkit"
)

// peer is a server that is sent spans and asked for them: Zipkin's, or Clew.
type peer struct {
	name         string
	http, scribe string // URL and address
}

// autocompleteKeys are the keys whose values Zipkin's server is to remember; Clew remembers all.
const autocompleteKeys = "http.method,site"

// startZipkin starts Zipkin's server, with scribe.
func startZipkin(t *testing.T) *peer {
	t.Helper()
	url := testkit.Zipkin(t, "server", "127.0.0.1:9411", "COLLECTOR_SCRIBE_ENABLED=true", "COLLECTOR_SCRIBE_PORT=9410", "AUTOCOMPLETE_KEYS="+autocompleteKeys)
	return &peer{name: "zipkin", http: url, scribe: "127.0.0.1:9410"}
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
