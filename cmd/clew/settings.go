package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A setting can be given in the file (key, with a section for what is before the dot), in the environment (CLEW_KEY) and as a
// flag (--key), each stronger than the one before.
type setting struct {
	key, help string
	value     flag.Value
	from      string // where its value came from
}

func (s *setting) env() string {
	return "CLEW_" + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// settings is all of a command's settings, in the order in which they are shown.
type settings []*setting

func (ss settings) find(key string) *setting {
	for _, s := range ss {
		if s.key == key {
			return s
		}
	}
	return nil
}

// load reads the file named by --config, the environment and flags. aliases are short flags for keys.
func (ss settings) load(name, example string, args, environ []string, aliases map[string]string) (printOnly bool, err error) {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	given := map[string]string{}
	for _, s := range ss {
		s.from = "default"
		fs.Func(s.key, s.help, func(v string) error { given[s.key] = v; return nil })
	}
	for short, key := range aliases {
		fs.Func(short, "short for --"+key, func(v string) error { given[key] = v; return nil })
	}
	config := fs.String("config", os.Getenv("CLEW_CONFIG"), "YAML file")
	fs.BoolVar(&printOnly, "print-config", false, "print the settings in force as YAML, and where each came from")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Print(ss.help(name, example, aliases))
			return false, err
		}
		return false, usageError{fmt.Errorf("%w; clew help %s lists the flags", err, name)}
	}
	if fs.NArg() > 0 {
		return false, usageError{fmt.Errorf("unexpected argument %q; clew help %s lists the flags", fs.Arg(0), name)}
	}
	if *config != "" {
		if err := ss.loadFile(*config); err != nil {
			return false, usageError{err}
		}
	}
	for _, s := range ss {
		for _, e := range environ {
			if k, v, _ := strings.Cut(e, "="); k == s.env() {
				if err := s.value.Set(v); err != nil {
					return false, usageError{fmt.Errorf("environment %s=%s: %w", k, v, err)}
				}
				s.from = "environment " + k
			}
		}
		if v, ok := given[s.key]; ok {
			if err := s.value.Set(v); err != nil {
				return false, usageError{fmt.Errorf("flag --%s %s: %w", s.key, v, err)}
			}
			s.from = "flag"
		}
	}
	return printOnly, nil
}

func (ss settings) help(name, example string, aliases map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: clew %s [FLAGS]\n\n%s\nSettings can be flags, CLEW_… in the environment, or keys of the YAML file; flags win, then the environment.\n\n", name, example)
	fmt.Fprintf(&b, "  --config FILE\n      YAML file\n  --print-config\n      print the settings in force and where each came from\n")
	for _, s := range ss {
		short := ""
		for alias, key := range aliases {
			if key == s.key {
				short = " (or --" + alias + ")"
			}
		}
		fmt.Fprintf(&b, "  --%s%s\n      %s (default %q)\n", s.key, short, s.help, s.value.String())
	}
	return b.String()
}

// loadFile sets what a YAML file has. Errors name the file, the line, the key and what would be right.
func (ss settings) loadFile(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return nil // an empty file
	}
	return ss.loadNode(path, "", doc.Content[0])
}

func (ss settings) loadNode(path, prefix string, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: %s is not a section of keys and values", path, n.Line, orFile(strings.TrimSuffix(prefix, ".")))
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key := prefix + k.Value
		if line, twice := seen[key]; twice {
			return fmt.Errorf("%s:%d: %s is set twice, first in line %d", path, k.Line, key, line)
		}
		seen[key] = k.Line
		if s := ss.find(key); s != nil {
			text, err := scalar(v)
			if err == nil {
				err = s.value.Set(text)
			}
			if err != nil {
				return fmt.Errorf("%s:%d: %s: %w", path, v.Line, key, err)
			}
			s.from = fmt.Sprintf("%s:%d", path, v.Line)
			continue
		}
		if ss.isSection(key) {
			if err := ss.loadNode(path, key+".", v); err != nil {
				return err
			}
			continue
		}
		return fmt.Errorf("%s:%d: there is no key %s%s", path, k.Line, key, ss.nearest(key))
	}
	return nil
}

func orFile(section string) string {
	if section == "" {
		return "the file"
	}
	return section
}

func (ss settings) isSection(key string) bool {
	return slices.ContainsFunc(ss, func(s *setting) bool { return strings.HasPrefix(s.key, key+".") })
}

func scalar(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, nil
	case yaml.SequenceNode:
		var list []string
		for _, e := range n.Content {
			list = append(list, e.Value)
		}
		return strings.Join(list, ","), nil
	}
	return "", errors.New("is a section; want a value")
}

// nearest suggests the key that is least different.
func (ss settings) nearest(key string) string {
	best, at := "", len(key)/2+1
	for _, s := range ss {
		if d := distance(key, s.key); d < at {
			best, at = s.key, d
		}
	}
	if best == "" {
		return "; clew serve --help lists the keys"
	}
	return "; is it " + best + "?"
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// print returns the settings as YAML that load would read.
func (ss settings) print() string {
	var b strings.Builder
	section := ""
	for _, s := range ss {
		sec, key, _ := strings.Cut(s.key, ".")
		if sec != section {
			section = sec
			fmt.Fprintf(&b, "%s:\n", sec)
		}
		v := s.value.String()
		if _, isText := s.value.(*text); isText {
			v = strconv.Quote(v)
		}
		fmt.Fprintf(&b, "  %-40s # %s\n", key+": "+v, s.from)
	}
	return b.String()
}

// The kinds of value.
type (
	text     struct{ p *string }
	address  struct{ p *string }
	list     struct{ p *[]string }
	duration struct{ p *time.Duration }
	size     struct{ p *int64 }
	integer  struct {
		p        *int
		min, max int
	}
	boolean struct{ p *bool }
	choice  struct {
		p       *string
		choices []string
	}
)

func (v *text) String() string     { return *v.p }
func (v *text) Set(s string) error { *v.p = s; return nil }

func (v *address) String() string { return strconv.Quote(*v.p) }
func (v *address) Set(s string) error {
	if s != "" {
		_, port, ok := cutLast(s, ":")
		if n, err := strconv.Atoi(port); !ok || err != nil || n < 0 || n > 65535 {
			return fmt.Errorf("%q is not an address; want host:port, :port, or nothing to switch it off", s)
		}
	}
	*v.p = s
	return nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (v *list) String() string { return strings.Join(*v.p, ",") }
func (v *list) Set(s string) error {
	*v.p = nil
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*v.p = append(*v.p, part)
		}
	}
	return nil
}

func (v *duration) String() string { return v.p.String() }
func (v *duration) Set(s string) error {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 36500 {
			*v.p = time.Duration(n) * 24 * time.Hour
			return nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a duration; want one such as 30s, 12h or 7d", s)
	}
	*v.p = d
	return nil
}

var sizeUnits = []struct {
	unit  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}}

func (v *size) String() string {
	for _, u := range []int{3, 2, 1, 0} {
		if n := sizeUnits[u]; *v.p >= n.bytes && *v.p%n.bytes == 0 {
			return fmt.Sprint(*v.p/n.bytes, n.unit)
		}
	}
	return strconv.FormatInt(*v.p, 10)
}

func (v *size) Set(s string) error {
	number, unit := s, int64(1)
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(s, u.unit); ok {
			number, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return fmt.Errorf("%q is not a size; want one such as 512MiB or 20GB", s)
	}
	*v.p = n * unit
	return nil
}

func (v *size) plain() string { return strconv.FormatInt(*v.p, 10) }

func (v *integer) String() string { return strconv.Itoa(*v.p) }
func (v *integer) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < v.min || n > v.max {
		return fmt.Errorf("%q is not a number from %d to %d", s, v.min, v.max)
	}
	*v.p = n
	return nil
}

func (v *boolean) String() string { return strconv.FormatBool(*v.p) }
func (v *boolean) Set(s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	*v.p = b
	return nil
}

func (v *choice) String() string { return *v.p }
func (v *choice) Set(s string) error {
	if !slices.Contains(v.choices, s) {
		return fmt.Errorf("%q is not one of %s", s, strings.Join(v.choices, ", "))
	}
	*v.p = s
	return nil
}
