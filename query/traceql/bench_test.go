package traceql

import "testing"

// BenchmarkParse parses, checks, and writes again, what people ask.
func BenchmarkParse(b *testing.B) {
	for _, c := range [][2]string{
		{"filter", `{ resource.service.name = "frontend" && span.http.status_code >= 500 }`},
		{"regexp", "{ span.http.route =~ `/api/.*` && duration > 2s }"},
		{"structure", `({nestedSetParent<0 && status = error} &>> { status = error }) || ({nestedSetParent<0 && status = error}) | select(status, name)`},
		{"metrics", `({ status = error } | rate() by (resource.service.name)) / ({ } | rate() by (resource.service.name)) * 100 > 5 | topk(10)`},
	} {
		b.Run(c[0], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(c[1]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("String", func(b *testing.B) {
		q, err := Parse(`{ resource.service.name = "frontend" && span.http.status_code >= 500 } >> { .a } | count() > 2`)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			_ = q.String()
		}
	})
}
