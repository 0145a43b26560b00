package main

import (
	"flag"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// structured is a value with keys of its own. In a file it is a section, or a list of sections; as text it is whatever Set takes.
type structured interface {
	flag.Value
	// loadNode sets the value from what a file has at a key. Errors are as of settings.loadNode.
	loadNode(path, key string, n *yaml.Node) error
}

// setYAML sets a value from YAML in one line; nothing in it is null.
func setYAML(v structured, s string) error {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(s), &doc); err != nil {
		return fmt.Errorf("%.200q is not YAML: %w", s, err)
	}
	if len(doc.Content) == 0 {
		doc.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!null"}}
	}
	return v.loadNode("", "", doc.Content[0]) // whoever calls Set names the key
}

// wants is the error of what a file has at a key, if it is not of the kind that it should be.
func wants(path, key string, n *yaml.Node, kind string) error {
	if key != "" {
		key += ": "
	}
	return fmt.Errorf("%s%swant %s", where(path, n.Line), key, kind)
}

// loadSection sets what a section has whose keys, which are without one, have a prefix in the file. Errors are as of loadNode.
func (ss settings) loadSection(path, prefix string, n *yaml.Node) error {
	for _, s := range ss {
		s.key = prefix + s.key
	}
	return ss.loadNode(path, prefix, n, map[string]int{})
}

// sections is a list of sections with the same keys. As text, for a flag or the environment, it is the same YAML in one line:
//
//	[{endpoint: "http://a:4318", queue_bytes: 1GiB}, {endpoint: "http://b:9411"}]
type sections[T any] struct {
	p     *[]T
	fresh T                 // what a section is that sets nothing
	keys  func(*T) settings // the keys of a section, below no prefix
}

func (v *sections[T]) String() string {
	all := make([]string, len(*v.p))
	for i := range *v.p {
		fresh := v.fresh
		all[i] = flow(v.keys(&(*v.p)[i]), v.keys(&fresh))
	}
	if len(all) == 0 {
		return ""
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// flow returns a section in one line: parts, and those settings that are not as their defaults.
func flow(ss, defaults settings, parts ...string) string {
	for i, s := range ss {
		v := s.value.String()
		if v == defaults[i].value.String() {
			continue
		}
		if _, ok := s.value.(structured); !ok {
			v = strconv.Quote(v)
		}
		parts = append(parts, s.key+": "+v)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// Set sets the sections from YAML in one line; nothing is an empty list.
func (v *sections[T]) Set(s string) error { return setYAML(v, s) }

func (v *sections[T]) loadNode(path, key string, n *yaml.Node) error {
	*v.p = nil
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return wants(path, key, n, "a list of sections, each of which begins with -")
	}
	for i, e := range n.Content {
		one := v.fresh
		if err := v.keys(&one).loadSection(path, fmt.Sprintf("%s[%d].", key, i), e); err != nil {
			return err
		}
		*v.p = append(*v.p, one)
	}
	return nil
}
