package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"slices"
	"strings"
)

// A point is a measured value.
type point struct{ x, y float64 }

// A series is the points of one line, in order of x.
type series struct {
	name   string
	points []point
}

// A panel is one of a picture's small charts.
type panel struct {
	title, unit, axis string
	log               bool // the x axis; y begins at 0
	series            []series
}

// Sizes of a picture, in pixels.
const (
	panelWidth, panelHeight = 400, 250
	plotLeft, plotRight     = 62, 20
	plotTop, plotBottom     = 44, 46
)

// chartStyle is readable on white and on black; the colours differ in lightness, too.
const chartStyle = `<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 13px }
.axis { fill: #57606a }
.grid { stroke: #d0d7de; stroke-width: 1 }
.s0 { stroke: #0550ae; fill: #0550ae } .s1 { stroke: #bc4c00; fill: #bc4c00 } .s2 { stroke: #1a7f37; fill: #1a7f37 }
polyline { fill: none !important; stroke-width: 2 } circle, .key { stroke: none !important }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .axis { fill: #9198a1 } .grid { stroke: #3d444d }
.s0 { stroke: #79c0ff; fill: #79c0ff } .s1 { stroke: #ffa657; fill: #ffa657 } .s2 { stroke: #7ee787; fill: #7ee787 }
}
</style>
`

// writeChart writes panels as an SVG picture, two in a row.
func writeChart(path string, panels []panel) error {
	columns := min(2, len(panels))
	rows := (len(panels) + columns - 1) / columns
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\">\n", columns*panelWidth, rows*panelHeight, columns*panelWidth)
	b.WriteString(chartStyle)
	for i := range panels {
		fmt.Fprintf(&b, "<g transform=\"translate(%d %d)\">\n", i%columns*panelWidth, i/columns*panelHeight)
		panels[i].draw(&b)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// scale maps values to pixels.
type scale struct {
	lo, hi, from, to float64
	log              bool
}

func (s *scale) at(v float64) float64 {
	lo, hi := s.lo, s.hi
	if s.log {
		v, lo, hi = math.Log10(v), math.Log10(lo), math.Log10(hi)
	}
	if hi <= lo {
		return (s.from + s.to) / 2
	}
	return s.from + (v-lo)/(hi-lo)*(s.to-s.from)
}

// draw draws a panel at the origin.
func (p *panel) draw(b *strings.Builder) {
	x := scale{lo: math.Inf(1), hi: math.Inf(-1), from: plotLeft, to: panelWidth - plotRight, log: p.log}
	top := 0.0
	for _, s := range p.series {
		for _, q := range s.points {
			x.lo, x.hi, top = min(x.lo, q.x), max(x.hi, q.x), max(top, q.y)
		}
	}
	ticks := ticksOf(0, top*1.05)
	y := scale{hi: max(ticks[len(ticks)-1], top*1.05), from: panelHeight - plotBottom, to: plotTop}
	fmt.Fprintf(b, "<text class=\"title\" x=\"%d\" y=\"18\">%s</text>\n", 12, html.EscapeString(p.title))
	for _, v := range ticks {
		at := y.at(v)
		fmt.Fprintf(b, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"axis\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
			plotLeft, panelWidth-plotRight, at, at, plotLeft-6, at+4, short(v))
	}
	fmt.Fprintf(b, "<text class=\"axis\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", plotLeft-6, plotTop-10, html.EscapeString(p.unit))
	at := ticksOf(x.lo, x.hi)
	if p.log { // what was measured
		at = nil
		for _, q := range p.series[0].points {
			at = append(at, q.x)
		}
	}
	for _, v := range at {
		fmt.Fprintf(b, "<text class=\"axis\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x.at(v), panelHeight-plotBottom+18, short(v))
	}
	fmt.Fprintf(b, "<text class=\"axis\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", (plotLeft+panelWidth-plotRight)/2, panelHeight-10, html.EscapeString(p.axis))
	p.lines(b, &x, &y)
}

// lines draws the series and says which is which.
func (p *panel) lines(b *strings.Builder, x, y *scale) {
	key := float64(panelWidth - plotRight)
	for i, s := range slices.Backward(p.series) {
		var at []string
		for _, q := range s.points {
			at = append(at, fmt.Sprintf("%.1f,%.1f", x.at(q.x), y.at(q.y)))
		}
		fmt.Fprintf(b, "<polyline class=\"s%d\" points=\"%s\"/>\n", i%3, strings.Join(at, " "))
		for _, q := range s.points {
			if len(s.points) <= 12 {
				fmt.Fprintf(b, "<circle class=\"s%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n", i%3, x.at(q.x), y.at(q.y))
			}
		}
		if s.name != "" {
			fmt.Fprintf(b, "<text class=\"s%d key\" x=\"%.1f\" y=\"%d\" text-anchor=\"end\">%s</text>\n", i%3, key, plotTop-10, html.EscapeString(s.name))
			key -= float64(7*len(s.name) + 14)
		}
	}
}

// ticksOf returns some round numbers from lo to hi.
func ticksOf(lo, hi float64) []float64 {
	if hi <= lo {
		return []float64{lo}
	}
	step := math.Pow(10, math.Floor(math.Log10((hi-lo)/3)))
	for _, by := range []float64{5, 2} {
		if (hi-lo)/(step*by) >= 3 {
			step *= by
			break
		}
	}
	var out []float64
	for v := math.Ceil(lo/step) * step; v <= hi*1.0001; v += step {
		out = append(out, v)
	}
	return out
}

// short writes a number as one does beside an axis.
func short(v float64) string {
	for _, u := range []struct {
		by   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.by {
			return fmt.Sprintf("%.3g%s", v/u.by, u.name)
		}
	}
	return fmt.Sprintf("%.3g", v)
}
