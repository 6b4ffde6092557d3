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

func options(dir string) pgbouncer.Options {
	return pgbouncer.Options{
		Dir: dir, ReadFile: os.ReadFile, IPv6: true, Key: configfile.Key,
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
			good := strings.HasSuffix(path, ".good.txt")
			c := pgbouncer.Load("pgbouncer.ini", options(dir))
			if good != (c.File != nil) {
				t.Errorf("the name says good: %v, got\n%s", good, render(c.Findings))
			}
			shown := string(c.TOML)
			if c.Pidfile+c.Logfile != "" || c.Verbose {
				shown += fmt.Sprintf("\n# beside it: pidfile %q, logfile %q, verbose %v\n", c.Pidfile, c.Logfile, c.Verbose)
			}
			compare(t, archive, "toml", strings.ReplaceAll(shown, dir, "DIR"))
			compare(t, archive, "report", strings.ReplaceAll(render(c.Findings), dir, "DIR"))
			if *update {
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
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
