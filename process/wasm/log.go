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
	mu      sync.Mutex
	log     *slog.Logger // nil until it is attached: what is said until then waits in early
	early   []slog.Record
	allowed float64 // lines that may be logged now
	at      time.Time
	left    int    // lines that were left out since the last one
	last    string // the last line that the module logged as an error
}

func newModuleLog() *moduleLog { return &moduleLog{allowed: linesBurst, at: time.Now()} }

// attach says where to log.
func (l *moduleLog) attach(log *slog.Logger) {
	l.mu.Lock()
	early := l.early
	l.log, l.early = log, nil
	l.mu.Unlock()
	for _, r := range early {
		handle(log, r)
	}
}

// handle logs a record, if its level is logged.
func handle(log *slog.Logger, r slog.Record) {
	if ctx := context.Background(); log.Enabled(ctx, r.Level) {
		_ = log.Handler().Handle(ctx, r)
	}
}

// important logs what is said seldom, and must not be left out.
func (l *moduleLog) important(level slog.Level, msg string, args ...any) {
	r := slog.NewRecord(time.Now(), level, msg, 0)
	r.Add(args...)
	l.mu.Lock()
	log := l.log
	if log == nil {
		l.early = append(l.early, r)
	}
	l.mu.Unlock()
	if log != nil {
		handle(log, r)
	}
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
	left, ok := l.allow()
	if !ok {
		return
	}
	if left > 0 {
		l.important(slog.LevelWarn, "lines of the module were left out: it says more than is logged", "lines", left)
	}
	l.important(level, msg, args...)
}

// allow reports whether a line may be logged, and how many were left out before it.
func (l *moduleLog) allow() (left int, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.allowed = min(linesBurst, l.allowed+now.Sub(l.at).Seconds()*linesPerSec)
	l.at = now
	if l.allowed < 1 {
		l.left++
		return 0, false
	}
	l.allowed--
	left, l.left = l.left, 0
	return left, true
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
