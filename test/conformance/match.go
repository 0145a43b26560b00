package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// decode decodes JSON, of which there must be nothing more than one value; numbers stay as they are written.
func decode(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more behind its end")
	}
	return v, nil
}

// differs compares a value with what is expected, and returns the first place at which they differ, and how; "" if nowhere.
//
// Of what is expected, "<any>", "<text>", "<number>", "<bool>" and "<like PATTERN>" stand for such values. A field whose name ends in ? may be missing,
// others may not, and fields that are not expected must not be there, unless "<others>" is. A list that begins with "<any order>" may be in any, one
// that begins with "<among others>" may have more elements.
func differs(at string, want, got any) string {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return wrong(at, want, got)
		}
		return objectDiffers(at, want, got)
	case []any:
		list, ok := got.([]any)
		if !ok {
			return wrong(at, want, got)
		}
		return listDiffers(at, want, list)
	case string:
		if textMatches(want, got) {
			return ""
		}
	case json.Number:
		if n, ok := got.(json.Number); ok && (n == want || same(n, want)) {
			return ""
		}
	default:
		if want == got {
			return ""
		}
	}
	return wrong(at, want, got)
}

func wrong(at string, want, got any) string {
	return fmt.Sprintf("%s: got %s, want %s", place(at), written(got), written(want))
}

// place names the whole of an answer.
func place(at string) string {
	if at == "" {
		return "the answer"
	}
	return strings.TrimPrefix(at, ".")
}

func written(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // it was decoded before
		return err.Error()
	}
	text := strings.TrimSpace(b.String())
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}

// same reports whether two ways to write a number mean the same.
func same(a, b json.Number) bool {
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && math.Abs(x-y) <= 1e-9*math.Max(math.Abs(x), math.Abs(y))
}

func textMatches(want string, got any) bool {
	switch want {
	case "<any>":
		return true
	case "<text>":
		_, ok := got.(string)
		return ok
	case "<number>":
		_, ok := got.(json.Number)
		return ok
	case "<bool>":
		_, ok := got.(bool)
		return ok
	case "<digits>":
		text, ok := got.(string)
		_, err := strconv.ParseUint(text, 10, 64)
		return ok && err == nil
	}
	text, ok := got.(string)
	if pattern, like := strings.CutPrefix(want, "<like "); like {
		return ok && glob(strings.TrimSuffix(pattern, ">"), text)
	}
	return ok && text == want
}

// glob reports whether a text has a form in which * stands for anything.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	rest, ok := strings.CutPrefix(text, parts[0])
	for _, part := range parts[1 : len(parts)-1] {
		if ok {
			_, rest, ok = strings.Cut(rest, part)
		}
	}
	return ok && strings.HasSuffix(rest, parts[len(parts)-1])
}

func objectDiffers(at string, want, got map[string]any) string {
	_, others := want["<others>"]
	expected := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if key == "<others>" {
			continue
		}
		name, optional := strings.CutSuffix(key, "?")
		expected[name] = true
		value, there := got[name]
		if !there {
			if optional {
				continue
			}
			return fmt.Sprintf("%s: there is none, want %s", place(at+"."+name), written(want[key]))
		}
		if diff := differs(at+"."+name, want[key], value); diff != "" {
			return diff
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if !expected[name] && !others {
			return fmt.Sprintf("%s: there is no such field, got %s", place(at+"."+name), written(got[name]))
		}
	}
	return ""
}

func listDiffers(at string, want, got []any) string {
	order := ""
	if len(want) > 0 && (want[0] == "<any order>" || want[0] == "<among others>") {
		order, want = want[0].(string), want[1:]
	}
	if order != "<among others>" && len(want) != len(got) {
		return fmt.Sprintf("%s: got %d elements, want %d: %s", place(at), len(got), len(want), written(got))
	}
	if order == "" {
		for i := range want {
			if diff := differs(fmt.Sprintf("%s[%d]", at, i), want[i], got[i]); diff != "" {
				return diff
			}
		}
		return ""
	}
	left := slices.Clone(got)
	for i := range want {
		found, nearest := -1, ""
		for k := range left {
			diff := differs(fmt.Sprintf("%s[%d]", at, i), want[i], left[k])
			if diff == "" {
				found = k
				break
			}
			if depth(diff) > depth(nearest) {
				nearest = diff
			}
		}
		if found < 0 {
			return fmt.Sprintf("%s[%d]: none of %d is %s (%s)", place(at), i, len(got), written(want[i]), nearest)
		}
		left = slices.Delete(left, found, found+1)
	}
	return ""
}

// depth says how deep a difference lies: of several candidates the one that was alike for longest is likely to be meant.
func depth(diff string) int {
	where, _, _ := strings.Cut(diff, ": ")
	return len(where)
}
