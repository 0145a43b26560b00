package trace

// Distinct returns the indexes of spans without those that are exact duplicates of an earlier one.
func Distinct(spans []Span) []int {
	keep := make([]int, 0, len(spans))
	first := make(map[SpanID][]int, len(spans))
	var a, b []byte
next:
	for i := range spans {
		s := &spans[i]
		for _, j := range first[s.ID] {
			t := &spans[j]
			if s.Start != t.Start || s.End != t.End || s.Name != t.Name || s.Kind != t.Kind || s.Service() != t.Service() {
				continue
			}
			a, b = AppendSpan(a[:0], s), AppendSpan(b[:0], t)
			if string(a) != string(b) {
				continue
			}
			a, b = AppendResource(a[:0], s.Resource), AppendResource(b[:0], t.Resource)
			if string(a) != string(b) || s.Resource.SchemaURL != t.Resource.SchemaURL {
				continue
			}
			a, b = AppendScope(a[:0], s.Scope), AppendScope(b[:0], t.Scope)
			if string(a) == string(b) && s.Scope.SchemaURL == t.Scope.SchemaURL {
				continue next
			}
		}
		first[s.ID] = append(first[s.ID], i)
		keep = append(keep, i)
	}
	return keep
}
