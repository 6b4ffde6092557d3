package configfile_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
)

var update = flag.Bool("update", false, "write what is found into testdata and docs")

// TestGolden reads every archive in testdata. proxy.toml is the file; env has NAME=VALUE lines; findings is
// what is found, "error " or "warning " before each line; set is the resources, where a test wants them shown.
// The name says the verdict.
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
			parts := map[string]*txtar.File{}
			for i := range archive.Files {
				parts[archive.Files[i].Name] = &archive.Files[i]
			}
			if parts["proxy.toml"] == nil || parts["findings"] == nil {
				t.Fatal("proxy.toml or findings is missing")
			}
			file, findings := configfile.Parse("proxy.toml", parts["proxy.toml"].Data, environment(parts["env"]))
			if good := strings.HasSuffix(path, ".good.txt"); good != (file != nil) {
				t.Errorf("the name says good: %v, got %v", good, findings)
			}
			compare(t, parts["findings"], render(findings))
			if file != nil && parts["set"] != nil {
				compare(t, parts["set"], renderSet(t, file))
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func environment(f *txtar.File) func(string) (string, bool) {
	vars := map[string]string{}
	if f != nil {
		for line := range strings.Lines(string(f.Data)) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			vars[name] = strings.ReplaceAll(value, "<newline>", "\n")
		}
	}
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

// compare checks one part of an archive, or replaces it.
func compare(t *testing.T, part *txtar.File, got string) {
	t.Helper()
	if *update {
		part.Data = []byte(got)
	}
	if want := string(part.Data); got != want {
		t.Errorf("%s\n--- got\n%s--- want\n%s", part.Name, got, want)
	}
}

func render(findings configfile.Findings) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %s\n", f.Severity, f)
	}
	return b.String()
}

func renderSet(t *testing.T, f *configfile.File) string {
	var b bytes.Buffer
	show := func(kind string, m proto.Message) {
		text, err := prototext.MarshalOptions{}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		// prototext puts a second space in at random, against comparing it.
		fmt.Fprintf(&b, "%s %s\n", kind, strings.Join(strings.Fields(string(text)), " "))
	}
	s := f.Set
	sorted("cluster", s.Clusters, show)
	sorted("node", s.Nodes, show)
	sorted("pool", s.PoolProfiles, show)
	sorted("listener", s.Listeners, show)
	sorted("database", s.Databases, show)
	sorted("user", s.Users, show)
	show("limits", s.Limits["default"])
	if c := s.Consoles["default"]; len(c.GetAdminUsers())+len(c.GetStatsUsers()) > 0 {
		show("console", c)
	}
	fmt.Fprintf(&b, "bootstrap admin %s token %q loops %d drain %s\n", f.Bootstrap.AdminAddress,
		string(f.Bootstrap.AdminToken), f.Bootstrap.Loops, f.Bootstrap.DrainTimeout)
	if f.Bootstrap.Peers.GetYourNumber() > 0 {
		show("peers", f.Bootstrap.Peers)
	}
	return b.String()
}
