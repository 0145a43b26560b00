package main

import (
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// files are the questions, a file a dialect, and the spans that they are about.
//
//go:embed questions data
var files embed.FS

// question is one request, and what is to be answered. Its form in a file is in docs/conformance.md.
type question struct {
	dialect, name string
	method        string   // GET, POST; CALL is one over gRPC
	target        string   // a path with its query, or the name of a call
	headers       []string // "Name: value"
	body          string
	status        string // 200, or gRPC's name of a code
	contentType   string // what the answer's must begin with; "" for any
	message       string // of Tempo's: the name of the message as which the answer is decoded
	answer        string // JSON with wildcards, or text with *
}

// request returns what is asked, in a line.
func (q *question) request() string {
	if q.method == "CALL" {
		return "CALL " + q.target + " " + q.body
	}
	return q.method + " " + q.target
}

// occasion fills in what differs from run to run: names that no other run has, and times that every backend still keeps.
type occasion struct {
	run  string    // 12 digits of hexadecimal
	base time.Time // when the spans begin
}

var placeholder = regexp.MustCompile(`\$\{(ns|us|ms|s|rfc|east|b64)([^}]*)\}`)

// fill replaces ${run}, ${b64 HEX}, and ${ns}, ${us}, ${ms}, ${s}, ${rfc} and ${east} (two hours east of UTC), times with an offset (${us+5ms}).
func (o occasion) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(strings.ReplaceAll(text, "${run}", o.run), func(match string) string {
		part := placeholder.FindStringSubmatch(match)
		if part[1] == "b64" {
			raw, err := hex.DecodeString(strings.TrimSpace(part[2]))
			if err != nil {
				return match
			}
			return base64.StdEncoding.EncodeToString(raw)
		}
		at := o.base
		if part[2] != "" {
			d, err := time.ParseDuration(part[2])
			if err != nil {
				return match
			}
			at = at.Add(d)
		}
		switch part[1] {
		case "ns":
			return strconv.FormatInt(at.UnixNano(), 10)
		case "us":
			return strconv.FormatInt(at.UnixMicro(), 10)
		case "ms":
			return strconv.FormatInt(at.UnixMilli(), 10)
		case "s":
			return strconv.FormatInt(at.Unix(), 10)
		}
		if part[1] == "east" {
			return at.In(time.FixedZone("", 2*60*60)).Format(time.RFC3339)
		}
		if at.Nanosecond() == 0 {
			return at.UTC().Format(time.RFC3339)
		}
		return at.UTC().Format("2006-01-02T15:04:05.000Z") // with as many digits as protobuf's JSON has
	})
}

// read returns the questions of a dialect.
func read(dialect string) ([]question, error) {
	raw, err := fs.ReadFile(files, "questions/"+dialect+".txt")
	if err != nil {
		return nil, err
	}
	var out []question
	seen := map[string]bool{}
	for i, text := range strings.Split("\n"+string(raw), "\n## ")[1:] {
		q, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("questions/%s.txt, question %d: %w", dialect, i+1, err)
		}
		if seen[q.name] {
			return nil, fmt.Errorf("questions/%s.txt: there are two questions %q", dialect, q.name)
		}
		seen[q.name], q.dialect = true, dialect
		out = append(out, q)
	}
	return out, nil
}

// parse reads a question: its name, a line with method and target, headers, a body, a line with -> and how it is answered, and the answer.
func parse(text string) (q question, err error) {
	ask, answer, ok := strings.Cut(text, "\n-> ")
	name, ask, named := strings.Cut(ask, "\n")
	if !ok || !named {
		return q, fmt.Errorf("%.60q is not a name, a request, and an answer that begins with ->", text)
	}
	q.name = strings.TrimSpace(name)
	lines := strings.Split(ask, "\n")
	q.method, q.target, _ = strings.Cut(strings.TrimSpace(lines[0]), " ")
	if q.method == "CALL" {
		q.target, q.body, _ = strings.Cut(q.target, " ")
	}
	for i, line := range lines[1:] {
		if !regexp.MustCompile(`^[A-Za-z-]+: `).MatchString(line) {
			q.body += strings.TrimSpace(strings.Join(lines[i+1:], "\n"))
			break
		}
		q.headers = append(q.headers, line)
	}
	first, rest, _ := strings.Cut(answer, "\n")
	how := strings.Fields(first)
	if len(how) == 0 || q.target == "" {
		return q, fmt.Errorf("%q: there is no target, or no status", q.name)
	}
	q.status = how[0]
	for _, word := range how[1:] {
		if strings.Contains(word, "/") {
			q.contentType = word
		} else {
			q.message = word
		}
	}
	var kept []string
	for line := range strings.SplitSeq(rest, "\n") {
		if !strings.HasPrefix(line, "# ") {
			kept = append(kept, line)
		}
	}
	q.answer = strings.TrimSpace(strings.Join(kept, "\n"))
	return q, nil
}
