package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc/PID/stat on Linux: USER_HZ, 100 a second on all architectures that Go knows.
const clockTick = 10 * time.Millisecond

// cpuTime returns the user and system time that a process has used, all threads, those that ended included.
func cpuTime(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // the name may have spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("/proc/%d/stat: %q and %q are no times", pid, fields[11], fields[12])
	}
	return time.Duration(user+system) * clockTick, nil
}

// memory returns a field of /proc/PID/status in bytes: VmRSS now, VmHWM at its highest.
func memory(pid int, field string) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), field+":"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// settle waits until a process has used hardly any CPU for a while: until its background work is done.
func settle(ctx context.Context, pid int) error {
	const (
		window = 3 * time.Second
		idle   = 30 * time.Millisecond // of CPU in the window
	)
	last, err := cpuTime(pid)
	for err == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(window):
		}
		var now time.Duration
		if now, err = cpuTime(pid); err == nil && now-last <= idle {
			return nil
		}
		last = now
	}
	return err
}

// diskBytes returns the size of all files below a folder.
func diskBytes(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// machine says on what and of what the figures are.
func machine() string {
	model := runtime.GOARCH
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	commit := "an unknown commit"
	if out, err := exec.Command("git", "rev-parse", "--short=10", "HEAD").Output(); err == nil {
		commit = "commit " + strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%s, %s, %d cores of %s, %s.\n\n", time.Now().UTC().Format("2006-01-02"), commit, runtime.NumCPU(), model, runtime.Version())
}
