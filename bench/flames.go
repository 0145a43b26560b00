package main

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

// flames draws where the CPU's time goes: of clew serve while spans arrive, and of the server that only reads and indexes them.
func flames(ctx context.Context, o *options, dir string) error {
	s, err := testkit.Launch(o.clew, dir, "--log.level", "info", "--admin.pprof")
	if err != nil {
		return err
	}
	defer s.Kill()
	cfg := load.Default()
	cfg.Endpoint, cfg.Protocol = s.Address("otlp_http"), "otlp/http"
	if err := flameOf(ctx, o, cfg, burning{s.URL("admin"), "ingest", "clew serve, OTLP/HTTP"}); err != nil {
		return err
	}
	if err := s.Stop(); err != nil {
		return err
	}
	w, err := startWalk()
	if err != nil {
		return err
	}
	defer w.stop()
	cfg.Endpoint = w.address
	return flameOf(ctx, o, cfg, burning{"http://" + w.address, "limit", "reading and indexing the bytes alone"})
}

// burning is a server whose profile is taken: from where, the picture's name and its title.
type burning struct{ pprof, name, title string }

// flameOf takes a profile of a server for as long as it takes a load, and draws it.
func flameOf(ctx context.Context, o *options, cfg load.Config, at burning) error {
	const length = 20 * time.Second
	fmt.Fprintln(os.Stderr, "flames:", at.name, "for", length)
	cfg.Rate, cfg.Connections, cfg.Duration = 0, 4, length+2*time.Second
	sender, err := load.NewSender(cfg)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- sender.Run(ctx) }()
	profile, err := get(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", at.pprof, int(length.Seconds())))
	if sent := <-done; err == nil {
		err = sent
	}
	if err != nil {
		return err
	}
	r := sender.Report()
	root, err := stacksOf(ctx, profile)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%s: CPU time of %v, %s spans a second", at.title, length, thousands(r.Rate()))
	fmt.Println(title)
	if o.pictures == "" {
		return nil
	}
	return writeFlame(filepath.Join(o.pictures, "flame-"+at.name+".svg"), title, root)
}

// A flame is a function with what it called, and the time spent in all of that.
type flame struct {
	time  time.Duration
	calls map[string]*flame
}

func (f *flame) call(name string) *flame {
	if f.calls == nil {
		f.calls = map[string]*flame{}
	}
	if f.calls[name] == nil {
		f.calls[name] = &flame{}
	}
	return f.calls[name]
}

// stacksOf reads a profile by way of go tool pprof, which every Go has.
func stacksOf(ctx context.Context, profile []byte) (*flame, error) {
	f, err := os.CreateTemp("", "clew-bench-*.pprof")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err := f.Write(profile); err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", f.Name())
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool pprof: %w: %.300s", err, said.String())
	}
	root := &flame{}
	_, text, _ := strings.Cut(string(out), "-----------+")
	for block := range strings.SplitSeq(text, "-----------+") {
		root.add(block)
	}
	return root, nil
}

// add adds one stack as pprof writes it: its time and its innermost function, then a line for each caller.
func (f *flame) add(block string) {
	lines := strings.Split(block, "\n")
	var stack []string
	var spent time.Duration
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) > 0 && strings.HasSuffix(fields[0], ":") { // a label
			continue
		}
		if len(stack) == 0 && len(fields) > 1 {
			if d, err := time.ParseDuration(fields[0]); err == nil {
				spent, fields = d, fields[1:]
			}
		}
		if name := strings.TrimSuffix(strings.Join(fields, " "), " (inline)"); name != "" {
			stack = append(stack, name)
		}
	}
	f.time += spent
	at := f
	for _, name := range slices.Backward(stack) {
		at = at.call(name)
		at.time += spent
	}
}

const (
	flameWidth = 1200
	flameRow   = 17
	flameLeast = 0.6 // pixels; narrower ones are not drawn
)

const flameStyle = `<style>
text { font: 11px ui-monospace, monospace; fill: #24292f; pointer-events: none } .title { font: 600 13px system-ui, sans-serif }
rect { stroke: #fff; stroke-width: .5 } .f0 { fill: #9ec5fe } .f1 { fill: #ffd8a8 } .f2 { fill: #b2f2bb } .f3 { fill: #eebefa } .f4 { fill: #ffc9c9 } .f5 { fill: #dee2e6 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } rect { stroke: #0d1117 }
.f0 { fill: #1f4b8f } .f1 { fill: #7a4a12 } .f2 { fill: #1d5c34 } .f3 { fill: #5f2d73 } .f4 { fill: #7d2a2f } .f5 { fill: #3d444d }
}
</style>
`

// writeFlame draws a flame graph: width is time, callers are above what they called. Functions of a package have one colour.
func writeFlame(path, title string, root *flame) error {
	var body strings.Builder
	depth := root.draw(&body, title, box{0, flameWidth, 0, float64(root.time)})
	height := 30 + (depth+1)*flameRow
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\">\n%s", flameWidth, height, flameWidth, flameStyle)
	fmt.Fprintf(&b, "<text class=\"title\" x=\"8\" y=\"17\">%s</text>\n", html.EscapeString(title))
	_, _ = io.WriteString(&b, body.String())
	b.WriteString("</svg>\n")
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// box is where a function is drawn.
type box struct {
	x, width float64
	depth    int
	total    float64
}

// draw draws a function and what it called, and returns how deep that went.
func (f *flame) draw(b *strings.Builder, name string, at box) (depth int) {
	if at.width < flameLeast {
		return at.depth - 1
	}
	if at.depth > 0 {
		y := 24 + (at.depth-1)*flameRow
		fmt.Fprintf(b, "<g><title>%s: %.1f %%</title><rect class=\"%s\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>", html.EscapeString(name), 100*float64(f.time)/at.total,
			colourOf(name), at.x, y, at.width, flameRow)
		if letters := int((at.width - 6) / 6.7); letters > 3 {
			text := shortName(name)
			if len(text) > letters {
				text = text[:letters-1] + "…"
			}
			fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%d\">%s</text>", at.x+3, y+12, html.EscapeString(text))
		}
		b.WriteString("</g>\n")
	}
	depth, x := at.depth, at.x
	for _, callee := range slices.Sorted(maps.Keys(f.calls)) {
		c := f.calls[callee]
		width := at.width * float64(c.time) / max(1, float64(f.time))
		depth = max(depth, c.draw(b, callee, box{x, width, at.depth + 1, at.total}))
		x += width
	}
	return depth
}

// shortName leaves the path of a function's package out.
func shortName(name string) string { return name[strings.LastIndex(name, "/")+1:] }

// colourOf gives our packages, and what is not ours, colours of their own.
func colourOf(name string) string {
	switch {
	case strings.HasPrefix(name, "github.com/clewtrace/clew/store/"):
		return "f0"
	case strings.HasPrefix(name, "github.com/clewtrace/clew/trace"):
		return "f2"
	case strings.HasPrefix(name, "github.com/clewtrace/"):
		return "f3"
	case strings.HasPrefix(name, "runtime.") || name == "gcWriteBarrier":
		return "f5"
	case strings.Contains(name, "syscall"):
		return "f4"
	}
	return "f1"
}
