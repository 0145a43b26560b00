package main

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// entry is a section and its name.
type entry[T any] struct {
	name string
	of   T
}

// named is sections with the same keys, each with a name that the user chooses or knows. As text, for a flag or the environment, it is the
// same YAML in one line:
//
//	{query: {client_auth: none}, admin: {enabled: false}}
type named[T any] struct {
	p     *[]entry[T]
	fresh T                 // what a section is that sets nothing
	keys  func(*T) settings // the keys of a section, below no prefix
}

func (v *named[T]) String() string {
	all := make([]string, len(*v.p))
	for i := range *v.p {
		fresh := v.fresh
		all[i] = strconv.Quote((*v.p)[i].name) + ": " + flow(v.keys(&(*v.p)[i].of), v.keys(&fresh))
	}
	if len(all) == 0 {
		return ""
	}
	return "{" + strings.Join(all, ", ") + "}"
}

// Set sets the sections from YAML in one line; nothing is none.
func (v *named[T]) Set(s string) error { return setYAML(v, s) }

func (v *named[T]) loadNode(path, key string, n *yaml.Node) error {
	*v.p = nil
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return wants(path, key, n, "a section of sections, each with its name")
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		full := strings.TrimPrefix(key+"."+k.Value, ".")
		if line, twice := lines[k.Value]; twice {
			return fmt.Errorf("%s%s is set twice, first in line %d", where(path, k.Line), full, line)
		}
		lines[k.Value] = k.Line
		one := entry[T]{k.Value, v.fresh}
		if err := v.keys(&one.of).loadSection(path, full+".", n.Content[i+1]); err != nil {
			return err
		}
		*v.p = append(*v.p, one)
	}
	return nil
}

// find returns the section of a name, or nil.
func find[T any](all []entry[T], name string) *T {
	for i := range all {
		if all[i].name == name {
			return &all[i].of
		}
	}
	return nil
}

// pairs is names and a text for each. In a file it is a section; as text it is name=text, with commas between them.
type pairs struct{ p *[]entry[string] }

func (v *pairs) String() string {
	all := make([]string, len(*v.p))
	for i, e := range *v.p {
		all[i] = e.name + "=" + e.of
	}
	return strings.Join(all, ",")
}

// Set sets the pairs from text.
func (v *pairs) Set(s string) error {
	*v.p = nil
	for part := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, text, ok := strings.Cut(part, "=")
		if err := v.add(strings.TrimSpace(name), strings.TrimSpace(text)); err != nil || !ok {
			return fmt.Errorf("%.80q is not name=text, or is there twice", part)
		}
	}
	return nil
}

func (v *pairs) add(name, text string) error {
	if name == "" || text == "" || find(*v.p, name) != nil {
		return fmt.Errorf("%.80s has no text, or is there twice", name)
	}
	*v.p = append(*v.p, entry[string]{name, text})
	return nil
}

func (v *pairs) loadNode(path, key string, n *yaml.Node) error {
	*v.p = nil
	if n.Kind != yaml.MappingNode {
		return wants(path, key, n, "a section of names, each with a text")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, text := n.Content[i], n.Content[i+1]
		if text.Kind != yaml.ScalarNode {
			return wants(path, key+"."+name.Value, text, "a text")
		}
		if err := v.add(name.Value, text.Value); err != nil {
			return fmt.Errorf("%s%s: %w", where(path, name.Line), key, err)
		}
	}
	return nil
}
