package pgbouncer_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
	"github.com/heliosproxy/heliosproxy/controlplane/pgbouncer"
)

var update = flag.Bool("update", false, "write what comes out into testdata and docs")

// coming are keys of proxy.toml that the golden files know nothing of, or, in *.coming.txt, all of, whether this build has them or not: what
// comes does not change them.
func coming() map[string]configfile.Takes {
	all := map[string]configfile.Takes{
		"console.admin_users": {Form: configfile.Texts}, "console.stats_users": {Form: configfile.Texts},
		"databases.user": {Form: configfile.Text}, "databases.password": {Form: configfile.Text}, "users.pool_mode": {Form: configfile.Text},
		"pool.ignore_startup_parameters": {Form: configfile.Texts}, "pool.application_name_add_host": {Form: configfile.Boolean},
		"pool.connect_query": {Form: configfile.Text}, "databases.pool.connect_query": {Form: configfile.Text}, "databases.connect_query": {Form: configfile.Text},
	}
	for name := range strings.FieldsSeq(`min_connections reserve_connections reserve_timeout_secs max_lifetime_secs login_retry_secs
		query_timeout_secs transaction_timeout_secs idle_transaction_timeout_secs client_idle_timeout_secs`) {
		for _, table := range []string{"pool.", "databases.pool.", "databases.", "users."} {
			all[table+name] = configfile.Takes{Form: configfile.Number, Max: 1 << 31}
		}
	}
	for _, name := range []string{
		"databases.max_server_connections", "users.max_server_connections", "users.max_connections", "users.acquire_timeout_secs",
		"limits.max_server_connections_per_database", "limits.max_server_connections_per_user",
	} {
		all[name] = configfile.Takes{Form: configfile.Number, Min: 1, Max: 1 << 31}
	}
	for _, name := range []string{"max_connections", "acquire_timeout_secs", "pool_mode"} {
		all["databases."+name] = configfile.Takes{}
	}
	return all
}

// without knows the keys that are coming in no build.
func without(name string) (configfile.Takes, bool) {
	if _, ok := coming()[name]; ok {
		return configfile.Takes{}, false
	}
	return configfile.Key(name)
}

// with knows them in every build.
func with(name string) (configfile.Takes, bool) {
	if takes, ok := coming()[name]; ok && takes.Form != "" {
		return takes, true
	}
	return configfile.Key(name)
}

func options(dir string, key func(string) (configfile.Takes, bool)) pgbouncer.Options {
	return pgbouncer.Options{
		Dir: dir, ReadFile: os.ReadFile, IPv6: true, Key: key,
		LookupHost: func(name string) ([]string, error) {
			if name == "bouncer.internal" {
				return []string{"10.1.2.3", "10.1.2.4"}, nil
			}
			return nil, errors.New("no such host")
		},
	}
}

// TestGolden reads every archive in testdata: pgbouncer.ini and the files that it names, and what comes out, toml and report. The name says
// whether a proxy can run with it. The directory that they are in is DIR.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := unpack(t, archive)
			key, good, hurries := without, strings.HasSuffix(path, ".good.txt"), strings.HasSuffix(path, ".coming.txt")
			if hurries {
				key = with
			}
			c := pgbouncer.Load("pgbouncer.ini", options(dir, key))
			if !hurries && good != (c.File != nil) {
				t.Errorf("the name says good: %v, got\n%s", good, render(c.Findings))
			}
			shown := string(c.TOML)
			if c.Pidfile+c.Logfile != "" {
				shown += fmt.Sprintf("\n# beside it: pidfile %q, logfile %q\n", c.Pidfile, c.Logfile)
			}
			compare(t, archive, "toml", strings.ReplaceAll(shown, dir, "DIR"))
			if !hurries { // what this build finds in the toml is its own affair
				compare(t, archive, "report", strings.ReplaceAll(render(c.Findings), dir, "DIR"))
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if c := pgbouncer.Load("pgbouncer.ini", options(dir, configfile.Key)); good && c.File == nil {
				t.Errorf("with all that this build has:\n%s\n%s", c.TOML, render(c.Findings))
			}
		})
	}
}

func unpack(t *testing.T, archive *txtar.Archive) string {
	dir := t.TempDir()
	for _, f := range archive.Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func render(findings configfile.Findings) string {
	var b strings.Builder
	for _, f := range findings {
		severity := map[configfile.Severity]string{configfile.Error: "error", configfile.Warning: "warning", configfile.Note: "note"}[f.Severity]
		fmt.Fprintf(&b, "%s %s\n", severity, f)
	}
	return b.String()
}

// compare checks one part of an archive, or replaces it.
func compare(t *testing.T, archive *txtar.Archive, name, got string) {
	t.Helper()
	i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		archive.Files = append(archive.Files, txtar.File{Name: name})
		i = len(archive.Files) - 1
	}
	if *update {
		archive.Files[i].Data = []byte(got)
	}
	if want := string(archive.Files[i].Data); got != want {
		t.Errorf("%s\n--- got\n%s--- want\n%s", name, got, want)
	}
}
