package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/trace"
)

const deleteExample = `Usage: clew delete [FLAGS] TRACE-ID...
       clew delete [FLAGS] CONDITIONS

Deletes traces of a running server, whole and for ever: by their IDs, or those that have a span on which all conditions hold.
No answer has them when the command is done; their bytes go from the disk soon after. Ends with status 1 if not all could be deleted.

  clew delete 5b8efff798038103d269b633813fc60c
  clew delete --service cart --tag user.email=a@example.com --dry-run
  clew delete --service cart --start 2026-11-24T02:00:00Z --end 2026-11-24T03:30:00Z
  clew delete --tag card.number --start 2h         # the last two hours
  clew delete --tenant team-a 5b8efff798038103d269b633813fc60c

A time is RFC 3339, 2006-01-02 or 2006-01-02T15:04:05 in this machine's time zone, or a duration such as 90m: so long ago.

`

// A request deletes this many traces, the next one twice as many: the first soon shows how far it is, and since each begins
// with a search through all that is newer, there are not to be many.
const (
	firstRound = 1000
	maxRound   = 128_000
)

// deleter is a run of clew delete.
type deleter struct {
	base     string // of the admin port
	client   *http.Client
	whose    *addressed
	progress func(text string)
}

func runDelete(ctx context.Context, args []string) error {
	form := url.Values{}
	fs := flag.NewFlagSet("delete", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	condition := func(name, param, help string, parse func(string) (string, error)) {
		fs.Func(name, help, func(v string) error {
			if v == "" {
				return errors.New("is empty; leave it out if it is no condition")
			}
			v, err := parse(v)
			form.Add(param, v)
			return err
		})
	}
	same := func(v string) (string, error) { return v, nil }
	admin := fs.String("admin", "http://127.0.0.1:14269", "`URL` of the server's admin port")
	whose, connection := addressFlags(fs), clientFlags(fs)
	condition("service", "service", "exact `name`", same)
	condition("operation", "operation", "exact `name`", same)
	condition("tag", "tag", "`key=value`, may be repeated: an attribute of the span or its resource; key alone: it is there; error=true: status error", same)
	condition("min-duration", "minDuration", "of a span, such as `200ms`", same)
	condition("max-duration", "maxDuration", "of a span, such as `1.5s`", same)
	condition("start", "from", "`time`: spans that start then or later", moment)
	condition("end", "to", "`time`: spans that start then or before", moment)
	all := fs.Bool("all", false, "every trace there is")
	dry := fs.Bool("dry-run", false, "only count")
	ids, err := parseArguments(fs, deleteExample, args)
	if err != nil {
		return err
	}
	base, err := adminURL(*admin)
	if err != nil {
		return usageError{err}
	}
	caller, err := connection.http(base)
	if err != nil {
		return err
	}
	d := &deleter{base, caller, whose, progressLine()}
	if *all {
		form.Set("all", "true")
	}
	if *dry {
		form.Set("dryRun", "true")
	}
	switch {
	case len(ids) > 0 && len(form) > 0:
		return usageError{errors.New("give trace IDs, or conditions and --dry-run, not both")}
	case len(ids) == 0 && (len(form) == 0 || *dry && len(form) == 1):
		return usageError{errors.New("nothing to delete; give trace IDs, conditions, or --all; clew help delete says more")}
	}
	if err := whose.check(ctx, d.client, base+"/healthz"); err != nil {
		return err
	}
	if len(ids) > 0 {
		return d.byID(ctx, ids)
	}
	return d.bySearch(ctx, form, *dry)
}

func adminURL(s string) (string, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("--admin: %q is no URL; want one such as http://127.0.0.1:14269", s)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// moment returns a time as nanoseconds since 1970.
func moment(s string) (string, error) {
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return strconv.FormatInt(time.Now().Add(-d).UnixNano(), 10), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil && t.Unix() > 0 {
			return strconv.FormatInt(t.UnixNano(), 10), nil
		}
	}
	return "", errors.New("want a time such as 2026-11-24T02:00:00Z or 2026-11-24, or a duration such as 90m: so long ago")
}

// byID deletes traces by their IDs. All are read before the first is deleted.
func (d *deleter) byID(ctx context.Context, args []string) error {
	ids := make([]trace.ID, len(args))
	for i, s := range args {
		var err error
		if ids[i], err = trace.ParseID(s); err != nil {
			return usageError{err}
		}
	}
	deleted, missing := 0, 0
	for _, id := range ids {
		a, err := d.call(ctx, http.MethodDelete, "/api/v1/traces/"+id.String())
		if refused, ok := errors.AsType[*refusal](err); ok && refused.kind == trace.NotFound.String() {
			fmt.Fprintln(os.Stderr, "clew:", refused.message)
			missing++
			continue
		}
		deleted += a.Deleted
		if err != nil {
			d.summary(deleted)
			return err
		}
	}
	d.summary(deleted)
	if missing > 0 {
		return fmt.Errorf("%d of %d traces were not there", missing, len(ids))
	}
	return nil
}

// bySearch deletes in rounds, each one request, from the newest trace on.
func (d *deleter) bySearch(ctx context.Context, form url.Values, dry bool) error {
	matched, deleted, reason := 0, 0, ""
	for round := firstRound; ; round = min(2*round, maxRound) {
		form.Set("limit", strconv.Itoa(round))
		a, err := d.call(ctx, http.MethodPost, "/api/v1/delete?"+form.Encode())
		matched, deleted = matched+a.Matched, deleted+a.Deleted
		if !a.Complete && err == nil {
			reason = a.Reason
		}
		if err != nil {
			d.progress("")
			if !dry && deleted > 0 {
				d.summary(deleted)
			}
			return err
		}
		if a.Cursor == "" {
			break
		}
		d.progress(fmt.Sprintf("%s found, %s deleted", several(matched, "trace"), grouped(int64(deleted))))
		form.Set("cursor", a.Cursor)
	}
	d.progress("")
	if dry {
		fmt.Printf("found     %s; nothing was deleted\n", several(matched, "trace"))
	} else {
		d.summary(deleted)
	}
	if reason != "" {
		return fmt.Errorf("not complete: %s; the server's log says which", reason)
	}
	return nil
}

func (d *deleter) summary(deleted int) {
	fmt.Printf("deleted   %s\n", several(deleted, "trace"))
	if deleted > 0 {
		fmt.Printf("on disk   until clew_store_deletions_pending in %s/metrics is 0, in some minutes\n", d.base)
	}
}

// deleteAnswer is what the server says of a deletion.
type deleteAnswer struct {
	Matched, Deleted int
	Cursor           string
	Complete         bool
	Reason           string
	Error            struct{ Kind, Message string }
}

// refusal is an answer that is not 200.
type refusal struct{ kind, message string }

func (r *refusal) Error() string { return r.message }

// call makes a request; again and again while the server is busy.
func (d *deleter) call(ctx context.Context, method, path string) (a deleteAnswer, err error) {
	for {
		a, after, err := d.once(ctx, method, path)
		if after == 0 {
			return a, err
		}
		d.progress(fmt.Sprintf("waiting for %v: %v", after, err))
		select {
		case <-ctx.Done():
			return a, errors.Join(errors.New("interrupted"), err)
		case <-time.After(after):
		}
	}
}

// once makes a request, and returns how long to wait before it is made again; 0: it is not to be.
func (d *deleter) once(ctx context.Context, method, path string) (a deleteAnswer, after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, nil)
	if err != nil {
		return a, 0, err
	}
	d.whose.mark(req)
	resp, err := d.client.Do(req)
	if ctx.Err() != nil {
		return a, 0, errors.New("interrupted; what was asked for last may have been deleted")
	}
	if err != nil {
		return a, 0, fmt.Errorf("%w; is the server running, and is this its admin port?", err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return a, 0, err
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		a.Error.Message = fmt.Sprintf("%s answers %s: %.200s", d.base, resp.Status, strings.TrimSpace(string(raw)))
	} else if resp.StatusCode == http.StatusOK {
		return a, 0, nil
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		after = time.Duration(max(1, seconds)) * time.Second
	}
	return a, after, &refusal{a.Error.Kind, a.Error.Message}
}

// progressLine returns a function that shows how far a command is: one line drawn anew on a terminal, and taken away by "", a line
// every five seconds elsewhere.
func progressLine() func(text string) {
	if st, err := os.Stderr.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		return func(text string) { fmt.Fprint(os.Stderr, "\r\x1b[K", text) }
	}
	var last time.Time
	return func(text string) {
		if now := time.Now(); text != "" && now.Sub(last) >= 5*time.Second {
			last = now
			fmt.Fprintln(os.Stderr, text)
		}
	}
}
