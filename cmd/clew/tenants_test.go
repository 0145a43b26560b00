package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/store/tenants"
)

// TestTenants checks that a file's section, its list and text mean the same, and that a tenant has the store's retention where it has none.
func TestTenants(t *testing.T) {
	const day = 24 * time.Hour
	want := []tenants.Tenant{{Name: "team-a", Retention: 30 * day, RetentionBytes: 50 << 30}, {Name: "team.b", Retention: 14 * day}, {Name: "c", Retention: 0, RetentionBytes: 0}}
	const text = "team-a retention=30d retention_bytes=50GiB, team.b, c retention=0"
	for _, in := range []struct {
		file    string
		environ []string
		args    []string
	}{
		{file: "tenants:\n  list:\n    team-a:\n      retention: 30d\n      retention_bytes: 50GiB\n    team.b:\n    c: {retention: 0}\n"},
		{file: "tenants.list: [team-a retention=30d retention_bytes=50GiB, team.b, c retention=0]\n"},
		{file: "tenants: {list: {x: {retention: 1d}}}\n", environ: []string{"CLEW_TENANTS_LIST=" + text}},
		{environ: []string{"CLEW_TENANTS_LIST=x"}, args: []string{"--tenants.list", text}},
	} {
		c, _, err := loaded(t, in.file, in.environ, append(in.args, "--store.retention", "14d")...)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, c.tenantsKept()); d != "" {
			t.Errorf("%+v: %s", in, d)
		}
	}
	if c, _, err := loaded(t, "tenants:\n  header: X-Team\n  list:\n", nil); err != nil || c.tenantsKept() != nil || c.named(nil, nil) != nil {
		t.Errorf("an empty list: %+v, %v", c.tenants, err)
	}
	if _, _, err := loaded(t, "log: {level: &all info}\ntenants:\n  list: *all\n", nil); err == nil || !strings.Contains(err.Error(), "clew.yaml:3: tenants.list: want a section of tenants") {
		t.Errorf("a list that stands elsewhere: %v", err)
	}
}
