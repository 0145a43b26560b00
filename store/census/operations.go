package census

import (
	"cmp"
	"maps"
	"slices"

	"github.com/clewtrace/clew/trace"
)

// Operations is the operations of each service.
type Operations map[string]map[trace.Operation]struct{}

// MaxOperations bounds the operations that are kept of a service: names with IDs in them have no end.
const MaxOperations = 10_000

// Add returns false when the service has too many already.
func (o Operations) Add(service, name string, kind trace.Kind) bool {
	ops := o[service]
	if ops == nil {
		ops = map[trace.Operation]struct{}{}
		o[service] = ops
	}
	if len(ops) >= MaxOperations {
		return false
	}
	ops[trace.Operation{Name: name, Kind: kind}] = struct{}{}
	return true
}

// AddAll adds what Sorted returned.
func (o Operations) AddAll(all map[string][]trace.Operation) {
	for service, ops := range all {
		for _, op := range ops {
			if !o.Add(service, op.Name, op.Kind) {
				break
			}
		}
	}
}

// Sorted returns each service's operations, by name, then kind.
func (o Operations) Sorted() map[string][]trace.Operation {
	out := make(map[string][]trace.Operation, len(o))
	for service := range o {
		out[service] = o.Of(service)
	}
	return out
}

// Of returns a service's operations, by name, then kind; for "" those of all services.
func (o Operations) Of(service string) []trace.Operation {
	ops := o[service]
	if service == "" {
		ops = map[trace.Operation]struct{}{}
		for _, more := range o {
			maps.Copy(ops, more)
		}
	}
	list := make([]trace.Operation, 0, len(ops))
	for op := range ops {
		list = append(list, op)
	}
	slices.SortFunc(list, func(a, b trace.Operation) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return list
}
