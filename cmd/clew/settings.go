package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

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

// invocation is a command's call: what its settings are read from.
type invocation struct {
	name, example string
	aliases       map[string]string // short flags, and the keys that they stand for
	args, environ []string
}

// load reads the file named by --config, the environment and flags.
func (ss settings) load(in invocation) (printOnly bool, err error) {
	fs := flag.NewFlagSet(in.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	given := map[string]string{}
	for _, s := range ss {
		s.from = "default"
		keep := func(v string) error { given[s.key] = v; return nil }
		if _, isBool := s.value.(*boolean); isBool {
			fs.BoolFunc(s.key, s.help, keep) // --key alone means true
			continue
		}
		fs.Func(s.key, s.help, keep)
	}
	for short, key := range in.aliases {
		fs.Func(short, "short for --"+key, func(v string) error { given[key] = v; return nil })
	}
	env := environment(in.environ)
	config := fs.String("config", env["CLEW_CONFIG"], "YAML file")
	fs.BoolVar(&printOnly, "print-config", false, "print the settings in force as YAML, and where each came from")
	if err := fs.Parse(in.args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Print(ss.help(in))
			return false, err
		}
		return false, usageError{fmt.Errorf("%w; clew help %s lists the flags", err, in.name)}
	}
	if fs.NArg() > 0 {
		return false, usageError{fmt.Errorf("unexpected argument %q; clew help %s lists the flags", fs.Arg(0), in.name)}
	}
	if *config != "" {
		if err := ss.loadFile(*config); err != nil {
			return false, usageError{err}
		}
	}
	if err := ss.loadEnvironment(env); err != nil {
		return false, usageError{err}
	}
	for _, s := range ss {
		if v, ok := given[s.key]; ok {
			if err := s.value.Set(v); err != nil {
				return false, usageError{fmt.Errorf("flag --%s: %w", s.key, err)}
			}
			s.from = "flag --" + s.key
		}
	}
	return printOnly, nil
}

// environment returns the CLEW_ variables.
func environment(environ []string) map[string]string {
	out := map[string]string{}
	for _, e := range environ {
		if k, v, _ := strings.Cut(e, "="); strings.HasPrefix(k, "CLEW_") {
			out[k] = v
		}
	}
	return out
}

// loadEnvironment sets what the environment has. A variable that begins like a section's and is no setting is refused; others are
// not ours to judge: Kubernetes sets CLEW_PORT and the like in pods beside a service of that name.
func (ss settings) loadEnvironment(env map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		i := slices.IndexFunc(ss, func(s *setting) bool { return s.env() == name })
		if i >= 0 {
			if err := ss[i].value.Set(env[name]); err != nil {
				return fmt.Errorf("environment %s: %w", name, err)
			}
			ss[i].from = "environment " + name
			continue
		}
		section, rest, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(name, "CLEW_")), "_")
		if ss.isSection(section) && !strings.HasPrefix(rest, "service_") && !strings.HasPrefix(rest, "port") {
			near := ss.nearest(section + "." + rest)
			if s := ss.find(near); s != nil {
				near = s.env()
			}
			return fmt.Errorf("environment %s: there is no such setting%s", name, suggest(near))
		}
	}
	return nil
}

// locate adds to an error that begins with a setting's key where the setting's value came from; if nobody set it, where that of the section did
// whose key is most like it.
func (ss settings) locate(err error) error {
	key, _, _ := strings.Cut(err.Error(), ":")
	s := ss.find(key)
	if s == nil {
		return err
	}
	from, alike := s.from, strings.Index(key, ".")
	for _, o := range ss {
		if n := common(key, o.key); s.from == "default" && o.from != "default" && n > alike {
			from, alike = o.from, n
		}
	}
	if from == "default" {
		return err
	}
	return fmt.Errorf("%s: %w", from, err)
}

// common returns how long a beginning two texts share.
func common(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func (ss settings) help(in invocation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: clew %s [FLAGS]\n\n%s\nSettings can be flags, CLEW_… in the environment, or keys of the YAML file; flags win, then the environment.\n\n", in.name, in.example)
	fmt.Fprintf(&b, "  --config FILE\n      YAML file\n  --print-config\n      print the settings in force and where each came from\n")
	for _, s := range ss {
		short := ""
		for alias, key := range in.aliases {
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
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil // an empty file
	case err != nil:
		return yamlError(path, err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			return yamlError(path, err)
		}
		return fmt.Errorf("%s:%d: a second document begins; want one", path, more.Line)
	}
	return ss.loadNode(path, "", doc.Content[0], map[string]int{})
}

// yamlError says where a file stops being YAML, as path:line.
func yamlError(path string, err error) error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		return fmt.Errorf("%s:%s", path, rest)
	}
	return fmt.Errorf("%s: %s", path, msg)
}

// loadNode sets what a section has; seen has the lines of the keys that were set before.
func (ss settings) loadNode(path, prefix string, n *yaml.Node, seen map[string]int) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil // a section whose keys are all commented out
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s%s is not a section of keys and values", where(path, n.Line), orFile(strings.TrimSuffix(prefix, ".")))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key := prefix + k.Value
		if line, twice := seen[key]; twice {
			return fmt.Errorf("%s%s is set twice, first in line %d", where(path, k.Line), key, line)
		}
		seen[key] = k.Line
		if s := ss.find(key); s != nil {
			if l, ok := s.value.(structured); ok && v.Kind != yaml.ScalarNode {
				s.from = strings.TrimSuffix(where(path, k.Line), ": ")
				if err := l.loadNode(path, key, v); err != nil {
					return err
				}
				continue
			}
			if err := s.setNode(v); err != nil {
				return fmt.Errorf("%s%s: %w", where(path, v.Line), key, err)
			}
			s.from = strings.TrimSuffix(where(path, v.Line), ": ")
			continue
		}
		if ss.isSection(key) {
			if err := ss.loadNode(path, key+".", v, seen); err != nil {
				return err
			}
			continue
		}
		return fmt.Errorf("%sthere is no key %s%s", where(path, k.Line), key, suggest(ss.nearest(key)))
	}
	return nil
}

// where begins an error about a line of a file; a value that was given as text has neither.
func where(path string, line int) string {
	if path == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", path, line)
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

// setNode sets the value that a file has: a scalar, or, where there may be several, a list of them.
func (s *setting) setNode(n *yaml.Node) error {
	switch n.Kind {
	case yaml.ScalarNode:
		return s.value.Set(n.Value)
	case yaml.SequenceNode:
		if _, ok := s.value.(*list); !ok {
			return errors.New("is a list; want one value")
		}
		var parts []string
		for _, e := range n.Content {
			if e.Kind != yaml.ScalarNode {
				return errors.New("is not a list of plain values; want one such as [first, second]")
			}
			parts = append(parts, e.Value)
		}
		return s.value.Set(strings.Join(parts, ","))
	case yaml.AliasNode:
		return errors.New("is an alias; want a value")
	}
	return errors.New("is a section; want a value")
}

// nearest returns the key that is least different, or "" if none is near.
func (ss settings) nearest(key string) string {
	best, at := "", len(key)/2+1
	for _, s := range ss {
		if d := distance(key, s.key); d < at {
			best, at = s.key, d
		}
	}
	return best
}

func suggest(key string) string {
	if key == "" {
		return "; clew serve --help lists the keys"
	}
	return "; is it " + key + "?"
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
		switch s.value.(type) {
		case *text, *address, *list, structured:
			v = strconv.Quote(v)
		}
		fmt.Fprintf(&b, "  %-40s # %s\n", key+": "+v, s.from)
	}
	return b.String()
}
