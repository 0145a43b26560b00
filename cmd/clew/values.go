package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
	number  struct{ p *int64 }
	boolean struct{ p *bool }
	choice  struct {
		p       *string
		choices []string
	}
)

func (v *text) String() string     { return *v.p }
func (v *text) Set(s string) error { *v.p = s; return nil }

func (v *address) String() string { return *v.p }
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

func (v *duration) String() string {
	if d := *v.p; d > 0 && d%(24*time.Hour) == 0 {
		return fmt.Sprint(int64(d/(24*time.Hour)), "d")
	}
	s := v.p.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

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

func (v *integer) String() string { return strconv.Itoa(*v.p) }
func (v *integer) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < v.min || n > v.max {
		return fmt.Errorf("%q is not a number from %d to %d", s, v.min, v.max)
	}
	*v.p = n
	return nil
}

func (v *number) String() string { return strconv.FormatInt(*v.p, 10) }
func (v *number) Set(s string) error {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a whole number", s)
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
