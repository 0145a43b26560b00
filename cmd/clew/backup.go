package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/clewtrace/clew/store/backup"
)

const backupExample = `Usage: clew backup [FLAGS] DEST

Backs a running server up to the folder DEST, over its admin port: all spans that it has acknowledged before the backup began. A second backup to
the same folder copies only the blocks that are new. One that was cut short counts for nothing, and can be repeated. Use a folder for each server and tenant.
Of a server that is stopped, copy the data folder.

  clew backup /backup/clew                         # of the server on this machine
  clew backup --admin http://10.0.0.7:14269 --keep 7 /backup/clew
  clew backup --tenant team-a /backup/team-a       # a tenant has backups of its own; without --tenant, it is the tenant default
  clew backup --admin https://clew:14269 --ca-file ca.pem --token-file token /backup/clew
  clew backup --list /backup/clew                  # what is there?
  clew backup --verify /backup/clew                # reads all of it; status 1 if something is damaged or missing

`

const restoreExample = `Usage: clew restore --data DIR [FLAGS] SRC

Makes a data folder, for clew serve, of a backup in the folder SRC. DIR must be empty or not there. All is checked as it is copied; if
something is damaged, no data folder is made.

  clew restore --data /var/lib/clew /backup/clew                        # the newest
  clew restore --data ./drill --at 20261124T0300 /backup/clew           # clew backup --list shows the names

`

func runBackup(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("backup", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o := backup.Options{}
	fs.StringVar(&o.Admin, "admin", "http://127.0.0.1:14269", "`URL` of the server's admin port")
	fs.IntVar(&o.Keep, "keep", 0, "then remove all but the newest `N` backups; 0: none")
	list := fs.Bool("list", false, "list the backups in DEST")
	verify := fs.Bool("verify", false, "read and check all backups in DEST")
	whose, connection := addressFlags(fs), clientFlags(fs)
	dirs, err := parseArguments(fs, backupExample, args)
	if err != nil {
		return err
	}
	if len(dirs) != 1 {
		return usageError{fmt.Errorf("got %d folders; want one: clew backup DEST", len(dirs))}
	}
	if o.Keep < 0 {
		return usageError{fmt.Errorf("--keep is %d; want 0 or more", o.Keep)}
	}
	switch o.Dir = dirs[0]; {
	case *list:
		return listBackups(o.Dir)
	case *verify:
		return verifyBackups(ctx, o.Dir)
	}
	base, err := adminURL(o.Admin)
	if err != nil {
		return usageError{err}
	}
	if o.Client, err = connection.http(base); err != nil {
		return err
	}
	if err := whose.check(ctx, o.Client, base+"/healthz"); err != nil {
		return err
	}
	o.Headers = whose.headers()
	shown := newMeter("copied")
	o.Watch = shown.show
	fmt.Fprintf(os.Stderr, "waiting until %s has what is in memory on disk\n", o.Admin)
	t, err := backup.Take(ctx, o)
	shown.end()
	if err != nil {
		return interrupted(ctx, err, "what was copied is kept, and not copied again")
	}
	bytes, spans := t.Manifest.Totals()
	fmt.Printf("backup %s  %s, %s in %s; copied %s, %s\n", t.Manifest.Name, several(spans, "span"), bytesText(bytes), several(len(t.Manifest.Files), "file"), several(t.NewFiles, "file"), bytesText(t.NewBytes))
	if t.Removed > 0 || t.Released > 0 {
		fmt.Printf("removed %s, %s\n", several(t.Removed, "older backup"), bytesText(t.Released))
	}
	if t.Damaged != nil {
		return fmt.Errorf("this backup is whole, but an older one is not, and nothing was removed:\n%w", t.Damaged)
	}
	return nil
}

// interrupted says what an end by a signal means.
func interrupted(ctx context.Context, err error, means string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %s", means)
	}
	return err
}

func listBackups(dir string) error {
	names, err := backup.List(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		m, err := backup.Load(dir, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		bytes, spans := m.Totals()
		fmt.Printf("%s  %20s  %9s  %10s\n", name, several(spans, "span"), bytesText(bytes), several(len(m.Files), "file"))
	}
	if len(names) == 0 {
		fmt.Println("no backups")
	}
	return errors.Join(errs...)
}

func verifyBackups(ctx context.Context, dir string) error {
	shown := newMeter("checked")
	c, err := backup.Verify(ctx, dir, shown.show)
	shown.end()
	if err != nil {
		return interrupted(ctx, err, "not all was checked")
	}
	fmt.Printf("checked %s, %s, %s: %d damaged or missing\n", several(c.Backups, "backup"), several(c.Files, "file"), bytesText(c.Bytes), len(c.Wrong))
	if len(c.Wrong) > 0 {
		return fmt.Errorf("%w\nDelete a damaged file: the next backup copies it again, if the server still has it", errors.Join(c.Wrong...))
	}
	return nil
}

func runRestore(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("restore", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	data := fs.String("data", "", "data `folder` to make")
	at := fs.String("at", "", "`name` of the backup, or how it begins (default the newest)")
	dirs, err := parseArguments(fs, restoreExample, args)
	if err != nil {
		return err
	}
	if len(dirs) != 1 || *data == "" {
		return usageError{errors.New("want two folders: clew restore --data DIR SRC")}
	}
	m, err := backup.Pick(dirs[0], *at)
	if err != nil {
		return err
	}
	shown := newMeter("copied")
	r := backup.Restoration{Dir: dirs[0], Backup: m, Data: *data, Watch: shown.show}
	err = r.Run(ctx)
	shown.end()
	if err != nil {
		return interrupted(ctx, err, "there is no data folder yet; begin again")
	}
	bytes, spans := m.Totals()
	fmt.Printf("restored %s  %s, %s in %s; now: clew serve --data %s\n", m.Name, several(spans, "span"), bytesText(bytes), several(len(m.Files), "file"), *data)
	return nil
}

// meter shows how far something is: one line drawn anew on a terminal, a line every five seconds elsewhere.
type meter struct {
	verb     string
	terminal bool
	last     time.Time
}

func newMeter(verb string) *meter {
	st, err := os.Stderr.Stat()
	return &meter{verb: verb, terminal: err == nil && st.Mode()&os.ModeCharDevice != 0, last: time.Now()}
}

func (m *meter) show(p backup.Progress) {
	every, head, tail := 5*time.Second, "", "\n"
	if m.terminal {
		every, head, tail = 200*time.Millisecond, "\r\x1b[K", ""
	}
	if time.Since(m.last) < every {
		return
	}
	m.last = time.Now()
	fmt.Fprintf(os.Stderr, "%s%s %s of %s%s", head, m.verb, bytesText(p.Done), bytesText(p.Total), tail)
}

func (m *meter) end() {
	if m.terminal {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
