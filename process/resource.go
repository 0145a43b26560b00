package process

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

// ResourceAttributes are put on the resources of spans: where they ran, as far as the spans do not say.
type ResourceAttributes struct {
	Insert []trace.Attr // where the resource has no attribute with the key
	Set    []trace.Attr // in any case
}

// Process puts the attributes on the batch's resources. Those that have them stay as they are.
func (r *ResourceAttributes) Process(_ context.Context, b *trace.Batch) error {
	lacking := false
	for i := range b.Resources {
		lacking = lacking || !r.complete(b.Bytes(b.Resources[i].Body))
	}
	if !lacking {
		return nil
	}
	return b.Edit(&trace.Edit{Resource: func(dst []byte, _ int, body []byte) ([]byte, trace.Change) {
		if r.complete(body) {
			return dst, trace.Same
		}
		var has [64]bool // of Insert
		for rest := body; len(rest) > 0; {
			var f wireField
			f, rest = next(rest)
			if f.num == 1 && f.wire == protowire.BytesType {
				key, _ := keyValue(f.body)
				if find(r.Set, key) >= 0 {
					continue // comes anew
				}
				if i := find(r.Insert, key); i >= 0 {
					has[i] = true
				}
			}
			dst = append(dst, f.raw...)
		}
		for i := range r.Insert {
			if !has[i] {
				dst = appendAttr(dst, &r.Insert[i])
			}
		}
		for i := range r.Set {
			dst = appendAttr(dst, &r.Set[i])
		}
		return dst, trace.Changed
	}})
}

// NewResourceAttributes returns a step that puts attributes on resources.
func NewResourceAttributes(insert, set []trace.Attr) (*ResourceAttributes, error) {
	if n := len(insert) + len(set); n == 0 || n > 64 {
		return nil, fmt.Errorf("attributes: are %d; want 1 to 64, detected ones included", n)
	}
	r := &ResourceAttributes{Set: set}
	for _, a := range insert {
		if find(set, []byte(a.Key)) < 0 && find(r.Insert, []byte(a.Key)) < 0 {
			r.Insert = append(r.Insert, a)
		}
	}
	return r, nil
}

func find(attrs []trace.Attr, key []byte) int {
	for i := range attrs {
		if attrs[i].Key == string(key) {
			return i
		}
	}
	return -1
}

// complete reports whether a resource has all that is inserted, and what is set with the same value and once.
func (r *ResourceAttributes) complete(body []byte) bool {
	inserted, set := 0, 0
	for len(body) > 0 {
		var f wireField
		if f, body = next(body); f.num != 1 || f.wire != protowire.BytesType {
			continue
		}
		key, value := keyValue(f.body)
		if i := find(r.Set, key); i >= 0 {
			text, ok := textOf(value)
			if !ok || string(text) != r.Set[i].Value.Str() {
				return false
			}
			set++
		} else if find(r.Insert, key) >= 0 {
			inserted++
		}
	}
	return inserted >= len(r.Insert) && set == len(r.Set)
}

func appendAttr(dst []byte, a *trace.Attr) []byte {
	return appendMessage(dst, 1, func(dst []byte) []byte {
		dst = appendField(dst, 1, []byte(a.Key))
		return appendMessage(dst, 2, func(dst []byte) []byte { return trace.AppendValue(dst, a.Value) })
	})
}

// Host is what attributes are detected from.
type Host struct {
	Getenv   func(name string) string
	Hostname func() (string, error)
	ReadFile func(path string) ([]byte, error)
}

// ThisHost returns the host that the process runs on.
func ThisHost() Host { return Host{os.Getenv, os.Hostname, os.ReadFile} }

// Detectors are the names of what Detect looks at.
var Detectors = [...]string{"env", "host", "kubernetes"}

// Detect returns the attributes that a detector finds:
//
//	env         OTEL_RESOURCE_ATTRIBUTES, a=b,c=d with values percent-encoded; not service.… and telemetry.…, which are Clew's own
//	host        host.name
//	kubernetes  what the downward API gives in variables (K8S_NODE_NAME becomes k8s.node.name, and so on), and the namespace of the pod
func (h Host) Detect(detector string) ([]trace.Attr, error) {
	switch detector {
	case "env":
		return resourceVariable(h.Getenv("OTEL_RESOURCE_ATTRIBUTES"))
	case "host":
		name, err := h.Hostname()
		if err != nil {
			return nil, fmt.Errorf("host name: %w", err)
		}
		return []trace.Attr{{Key: "host.name", Value: trace.String(name)}}, nil
	case "kubernetes":
		return h.kubernetes(), nil
	}
	return nil, fmt.Errorf("%q is not one of %s", detector, strings.Join(Detectors[:], ", "))
}

func resourceVariable(text string) (out []trace.Attr, err error) {
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || key == "" || err != nil {
			return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES has %q; want key=value, percent-encoded", pair)
		}
		if !strings.HasPrefix(key, "service.") && !strings.HasPrefix(key, "telemetry.") {
			out = append(out, trace.Attr{Key: key, Value: trace.String(value)})
		}
	}
	return out, nil
}

// namespaceFile is where Kubernetes puts a pod's namespace beside its service account's token.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

func (h Host) kubernetes() (out []trace.Attr) {
	for _, key := range []string{"k8s.cluster.name", "k8s.node.name", "k8s.namespace.name"} { // those of a pod are Clew's own
		if v := h.Getenv(strings.ToUpper(strings.ReplaceAll(key, ".", "_"))); v != "" {
			out = append(out, trace.Attr{Key: key, Value: trace.String(v)})
		}
	}
	if find(out, []byte("k8s.namespace.name")) < 0 {
		if raw, err := h.ReadFile(namespaceFile); err == nil {
			out = append(out, trace.Attr{Key: "k8s.namespace.name", Value: trace.String(string(bytes.TrimSpace(raw)))})
		}
	}
	return out
}

// Expand returns a text with ${env:NAME} and ${file:PATH} replaced by what a variable or a file has; one that is not there is an error.
func (h Host) Expand(text string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		kind, name, _ := strings.Cut(name, ":")
		switch {
		case !closed || name == "" || kind != "env" && kind != "file":
			return "", fmt.Errorf("%q: want ${env:NAME} or ${file:PATH}", text)
		case kind == "env":
			v := h.Getenv(name)
			if v == "" {
				return "", fmt.Errorf("%q: the environment has no %s", text, name)
			}
			out.WriteString(v)
		default:
			raw, err := h.ReadFile(name)
			if err != nil {
				return "", fmt.Errorf("%q: %w", text, err)
			}
			out.Write(bytes.TrimSpace(raw))
		}
		text = after
	}
}
