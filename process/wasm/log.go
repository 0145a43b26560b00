package wasm

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	lineBytes   = 1 << 10 // of a module's line, so much is logged
	linesBurst  = 20
	linesPerSec = 5
)

// moduleLog brings what a module and its failures have to say into Clew's log, but not more of it than somebody can read.
type moduleLog struct {
	log *slog.Logger

	mu      sync.Mutex
	allowed float64 // lines that may be logged now
	at      time.Time
	left    int    // lines that were left out since the last one
	last    string // the last line that the module logged as an error
}

func newModuleLog(log *slog.Logger) *moduleLog {
	return &moduleLog{log: log, allowed: linesBurst, at: time.Now()}
}

// line logs a line of the module.
func (l *moduleLog) line(level slog.Level, text []byte) {
	text = bytes.TrimRight(text, " \r\n")
	if len(text) == 0 {
		return
	}
	s := strings.ToValidUTF8(string(text[:min(len(text), lineBytes)]), "\uFFFD")
	if level >= slog.LevelError {
		l.mu.Lock()
		l.last = s
		l.mu.Unlock()
	}
	l.say(level, "module says", "line", s)
}

// say logs, unless too much was logged just before.
func (l *moduleLog) say(level slog.Level, msg string, args ...any) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	now := time.Now()
	l.mu.Lock()
	l.allowed = min(linesBurst, l.allowed+now.Sub(l.at).Seconds()*linesPerSec)
	l.at = now
	if l.allowed < 1 {
		l.left++
		l.mu.Unlock()
		return
	}
	l.allowed--
	left := l.left
	l.left = 0
	l.mu.Unlock()
	if left > 0 {
		l.log.Warn("lines of the module were left out: it says more than is logged", "lines", left)
	}
	l.log.Log(context.Background(), level, msg, args...)
}

// lastError returns the last line that the module logged as an error, and forgets it.
func (l *moduleLog) lastError() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.last
	l.last = ""
	return s
}

// lines is a writer, for an instance's stdout or stderr, that logs what is written line by line.
type lines struct {
	to    *moduleLog
	level slog.Level
	held  []byte // the beginning of a line
}

// Write logs the lines that end in p. It never fails.
func (w *lines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, ended := bytes.Cut(p, []byte{'\n'})
		if room := lineBytes - len(w.held); room > 0 {
			w.held = append(w.held, line[:min(len(line), room)]...)
		}
		if !ended {
			return n, nil
		}
		w.to.line(w.level, w.held)
		w.held, p = w.held[:0], rest
	}
}
