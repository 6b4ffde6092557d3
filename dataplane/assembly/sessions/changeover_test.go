package sessions

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestSettingRefused answers a session with the server's words for as long as it has a setting that the server does not take any more, and lets
// it out of that: what resets the parameter is let through, and nothing is forgotten behind its back.
func TestSettingRefused(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	_, addr := stage.Start(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	const (
		config  = `22023 invalid value for parameter "default_text_search_config": "public.mine"`
		role    = `22023 role "clerk" does not exist`
		buffers = `22023 invalid value for parameter "temp_buffers": 256`
		prefix  = `42602 invalid configuration parameter name "plpgsql.own"`
	)
	for _, c := range []struct {
		name     string
		before   string // by the server's administrator
		set      string
		after    string
		meddle   string // by another session
		refused  string
		still    []string // is refused too
		out      string
		prepared bool // it comes by the extended protocol
		show, is string
	}{
		{name: "a prefix", set: "SET plpgsql.own = '1'", meddle: "DO 'BEGIN END'", refused: prefix, out: "DISCARD ALL", show: "SELECT 1", is: "1"}, // while nothing has loaded it
		{
			name: "SET TO DEFAULT", before: "CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple)", set: "SET default_text_search_config = 'mine'", after: "DROP TEXT SEARCH CONFIGURATION mine",
			refused: config, still: []string{
				"SET default_text_search_config = 'simple'", "SET default_text_search_config = 'nonesuch'", "RESET default_text_search_config; SELECT 1", "SET LOCAL default_text_search_config TO DEFAULT",
				"BEGIN", "RESET work_mem", "SET work_mem = '1MB'",
				"RESET nothing", "DISCARD PLANS", "DEALLOCATE ALL",
			},
			out: "SET default_text_search_config TO DEFAULT", show: "SHOW default_text_search_config", is: "pg_catalog.english",
		},
		{
			name: "RESET", before: "CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple)", set: "SET default_text_search_config = 'mine'", after: "DROP TEXT SEARCH CONFIGURATION mine",
			refused: config, out: "RESET default_text_search_config", show: "SHOW default_text_search_config", is: "pg_catalog.english",
		},
		{
			name: "RESET, prepared", before: "CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple)", set: "SET default_text_search_config = 'mine'", after: "DROP TEXT SEARCH CONFIGURATION mine",
			refused: config, out: "RESET default_text_search_config", prepared: true, show: "SHOW default_text_search_config", is: "pg_catalog.english",
		},
		{
			name: "DISCARD ALL", before: "CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple)", set: "SET default_text_search_config = 'mine'", after: "DROP TEXT SEARCH CONFIGURATION mine",
			refused: config, out: "DISCARD ALL", show: "SHOW application_name", is: "a",
		},
		{
			name: "a role", before: "CREATE ROLE clerk; CREATE ROLE other", set: "SET ROLE clerk", after: "DROP ROLE clerk",
			refused: role, still: []string{"SET ROLE other", "SET ROLE clerk", "RESET ALL"}, out: "RESET ROLE", show: "SELECT current_user", is: "postgres",
		},
		{name: "temporary buffers", set: "SET temp_buffers = '2MB'", meddle: "BEGIN; CREATE TEMP TABLE tt (a) ON COMMIT DROP AS SELECT 1; COMMIT", refused: buffers, out: "RESET ALL", show: "SELECT 1", is: "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := stage.Connect(t, addr, "postgres", "application_name", "a"), stage.Connect(t, addr, "postgres", "application_name", "b")
			if c.before != "" {
				pg.Exec(t, strings.Split(c.before, "; ")...)
			}
			stage.Want(t, a, c.set+"; SET work_mem = '7MB'", "")
			stage.Want(t, b, "SELECT 1", "1")
			if c.after != "" {
				pg.Exec(t, c.after)
			}
			stage.Ask(b, c.meddle)
			for _, sql := range append(append([]string{"SELECT 1"}, c.still...), "SELECT 2") {
				if got := stage.Ask(a, sql); got != c.refused {
					t.Errorf("%s: %q, want %q", sql, got, c.refused)
				}
			}
			if _, err := a.Exec(t.Context(), "SELECT 1").ReadAll(); err == nil || err.(*pgconn.PgError).Hint == "" {
				t.Errorf("no hint: %v", err)
			}
			var pe *pgconn.PgError
			if _, err := a.Prepare(t.Context(), "", c.out, nil); !stage.AsPg(err, &pe) || pe.Code+" "+pe.Message != c.refused {
				t.Errorf("%s, not carried out: %v", c.out, err)
			}
			stage.Want(t, b, "SHOW application_name", "b")
			if c.prepared {
				if r := a.ExecParams(t.Context(), c.out, nil, nil, nil, nil).Read(); r.Err != nil {
					t.Errorf("%s: %v", c.out, r.Err)
				}
			} else {
				stage.Want(t, a, c.out, "")
			}
			stage.Want(t, b, "SHOW application_name", "b")
			stage.Want(t, a, c.show, c.is)
			if !strings.Contains(c.out, "ALL") {
				stage.Want(t, a, "SHOW work_mem", "7MB")
			}
			if strings.Contains(c.before, "other") {
				pg.Exec(t, "DROP ROLE other")
			}
			stage.Want(t, b, "SHOW application_name", "b")
			a.Close(t.Context())
			b.Close(t.Context())
		})
	}
}

// TestDefaults tells a client what a server connection reports otherwise than the one before, as the database's defaults have changed since
// that was opened, or the server's have while it was open.
func TestDefaults(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	s := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	_, addr := stage.Start(t, s)
	plain, own, holder := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres", "DateStyle", "SQL, DMY"), stage.Connect(t, addr, "postgres")
	seen := map[string]bool{}
	look := func(when string) {
		t.Helper()
		for _, c := range []*pgconn.PgConn{plain, own, plain} {
			for _, name := range []string{"DateStyle", "TimeZone"} {
				got := stage.Ask(c, "SHOW "+name)
				if said := c.ParameterStatus(name); got != said {
					t.Errorf("%s: %s is %q, and the client was told %q", when, name, got, said)
				}
				seen[got] = true
			}
		}
	}
	swap := func() { // the other connection is the one that is left
		pid := stage.Ask(plain, "SELECT pg_backend_pid()")
		stage.Want(t, holder, "BEGIN", "")
		if stage.Ask(holder, "SELECT pg_backend_pid()") != pid {
			t.Fatal("the connection that was used last is not the one that is had")
		}
	}
	look("at first")
	pg.Exec(t, "ALTER DATABASE postgres SET datestyle = 'German'")
	swap()
	look("on a new connection")
	stage.Want(t, holder, "COMMIT", "")
	for range 3 {
		look("on the last one")
		swap()
		look("on the other one")
		stage.Want(t, plain, "SET DateStyle = 'ISO, YMD'; SET TimeZone = 'Asia/Tokyo'", "")
		look("with a setting of its own")
		stage.Want(t, holder, "COMMIT", "")
		look("with a setting of its own, on the last one")
		stage.Want(t, plain, "RESET DateStyle; RESET TimeZone", "")
		look("reset")
	}
	pg.Exec(t, "ALTER SYSTEM SET timezone = 'Europe/Vienna'", "SELECT pg_reload_conf()")
	stage.Eventually(t, 10*time.Second, "the server has read its configuration", func() bool { return stage.Ask(plain, "SHOW TimeZone") == "Europe/Vienna" })
	for range 3 {
		look("with another configuration")
		swap()
		look("with another configuration, on the other one")
		stage.Want(t, holder, "COMMIT", "")
	}
	for _, want := range []string{"ISO, MDY", "German, DMY", "SQL, DMY", "ISO, YMD", "UTC", "Asia/Tokyo", "Europe/Vienna"} {
		if !seen[want] {
			t.Errorf("%s was never seen", want)
		}
	}
}

// TestEmptyParameter lets a custom parameter that was set and reset be empty on every server connection, as it is on one of one's own, also where
// the connection was looked through, and not be there for a session that has not set it.
func TestEmptyParameter(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	for _, guard := range []heliosv1.LeakGuard{heliosv1.LeakGuard_LEAK_GUARD_TEXT, heliosv1.LeakGuard_LEAK_GUARD_CATALOG, heliosv1.LeakGuard_LEAK_GUARD_ALWAYS} {
		set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
		set.PoolProfiles["default"].LeakGuard = guard
		_, addr := stage.Start(t, set)
		a, holder := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
		for i, texts := range [][]string{
			{"SET my.own = 'x'; RESET my.own"},
			{"SET my.own = 'x'", "RESET my.own"},
			{"SET my.own = 'x'; RESET my.own; DO 'BEGIN END'"},
			{"SET my.own = 'x'", "RESET my.own; DO 'BEGIN END'"},
			{"SET my.own = 'x'; RESET my.own", "DO 'BEGIN END'"},
		} {
			name := fmt.Sprint("my.own", i) // once it is set on a connection it stays there
			for _, sql := range texts {
				stage.Want(t, a, strings.ReplaceAll(sql, "my.own", name), "")
			}
			stage.Want(t, holder, "BEGIN", "")
			stage.Want(t, a, "SELECT current_setting('"+name+"')", "")
			stage.Want(t, holder, "COMMIT", "")
			stage.Want(t, holder, "SELECT coalesce(nullif(current_setting('"+name+"', true), ''), 'none')", "none")
		}
	}
}

// TestLongValue takes a value along that is longer than what the proxy otherwise reads at once.
func TestLongValue(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	_, addr := stage.Start(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	a, b := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	stage.Want(t, a, "SELECT length(set_config('my.own', repeat('x', 3000000), false))", "3000000")
	for range 2 {
		stage.Want(t, b, "SELECT coalesce(current_setting('my.own', true), '')", "")
		stage.Want(t, a, "SELECT length(current_setting('my.own'))", "3000000")
	}
}
