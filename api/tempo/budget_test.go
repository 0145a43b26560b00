package tempo

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/trace"
)

func TestBudget(t *testing.T) {
	b := &budget{most: 100}
	first, done := context.WithCancel(t.Context())
	a, c := b.share(first, "less"), b.share(t.Context(), "less")
	if err := a.take(50); err != nil {
		t.Fatal(err)
	}
	if err := a.take(1); trace.KindOf(err) != trace.TooLarge || !strings.Contains(err.Error(), "ask for less") {
		t.Errorf("one answer takes more than a half: %v", err)
	}
	d := b.share(t.Context(), "less")
	if err := d.take(40); err != nil {
		t.Fatal(err)
	}
	if err := c.take(20); trace.KindOf(err) != trace.Busy {
		t.Errorf("all take more than there is: %v", err)
	}
	d.clear()
	if err := d.take(40); err != nil {
		t.Errorf("again, when it was cleared: %v", err)
	}
	done()
	for end := time.Now().Add(time.Minute); b.held.Load() != 40 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if err := a.take(1); !errors.Is(err, context.Canceled) {
		t.Errorf("who is done takes more: %v", err)
	}
	if err := c.take(20); err != nil {
		t.Errorf("when one is done: %v", err)
	}
}
