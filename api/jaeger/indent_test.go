package jaeger

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/clewtrace/clew/trace"
)

// TestIndentedLength holds that JSON is no longer when it is indented than what memory is taken for, and hardly shorter.
func TestIndentedLength(t *testing.T) {
	for _, raw := range []string{
		`null`, `"a, {b: \"[\" \\"`, `{"data":[],"errors":{},"n":[1,2,3,[4,5,[6]]]}`, `{"a":{"b":{"c":{"d":[{"e":"}"},{"f":1.5}]}}}}`,
	} {
		var want bytes.Buffer
		if err := json.Indent(&want, []byte(raw), "", indentation); err != nil {
			t.Fatal(err)
		}
		if n := indentedLength([]byte(raw)); n < want.Len() || n > want.Len()+30 {
			t.Errorf("%s: %d bytes; want %d, or little more", raw, n, want.Len())
		}
	}
	ctx, held := trace.NewPool(trace.PoolSize{All: 16 << 20, Each: 1 << 20, Runs: 1}).Open(t.Context())
	defer held.Close()
	if _, err := indent(ctx, append(append([]byte(`{"a":"`), bytes.Repeat([]byte("x"), 2<<20)...), `"}`...)); !errors.Is(err, trace.ErrBudget) {
		t.Errorf("more memory than there is: %v", err)
	}
}
