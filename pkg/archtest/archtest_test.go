package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

type law struct {
	name  string
	check func(*Tree) []Violation
}

func laws() []law {
	return []law{
		{"imports", Imports},
		{"fences", Fences},
		{"comments", Comments},
		{"names", Names},
		{"sizes", Sizes},
		{"inits", Inits},
		{"sleeps", Sleeps},
		{"walks", Walks},
	}
}

func TestRepositoryKeepsTheLaws(t *testing.T) {
	tree, err := Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Packages) < 5 {
		t.Fatalf("only %d packages found: the tree was not read", len(tree.Packages))
	}
	for _, l := range laws() {
		t.Run(l.name, func(t *testing.T) {
			for _, v := range l.check(tree) {
				t.Error(v)
			}
		})
	}
}

// TestPlanted checks every law against small trees that break it. Each archive has a file "want": the violations, one a line,
// of all laws. A line "//grow N" stands for N lines.
func TestPlanted(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no planted trees: %v", err)
	}
	broken := map[string]bool{}
	for _, name := range archives {
		t.Run(filepath.Base(name), func(t *testing.T) {
			tree, want := plant(t, name)
			var got []string
			for _, l := range laws() {
				for _, v := range l.check(tree) {
					got = append(got, v.String())
					broken[v.Law] = true
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
	for _, l := range laws() {
		if !broken[l.name] {
			t.Errorf("no planted tree breaks the law %q", l.name)
		}
	}
}

func plant(t *testing.T, name string) (tree *Tree, want []string) {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	archive.Files = append(archive.Files, txtar.File{Name: "go.mod", Data: []byte("module m\n")})
	for i, f := range archive.Files {
		archive.Files[i].Data = grow(f.Data)
	}
	root, err := txtar.FS(archive)
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := fs.ReadFile(root, "want")
	if err != nil {
		t.Fatal(err)
	}
	if tree, err = Load(root); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(wanted)) {
		want = append(want, strings.TrimSuffix(line, "\n"))
	}
	return tree, want
}

// grow replaces a line "//grow N" by N empty comments.
func grow(data []byte) []byte {
	head, tail, found := strings.Cut(string(data), "//grow ")
	if !found {
		return data
	}
	count, rest, _ := strings.Cut(tail, "\n")
	n, _ := strconv.Atoi(count)
	return []byte(head + strings.Repeat("//\n", n) + rest)
}

func TestMatch(t *testing.T) {
	tests := []struct {
		patterns string
		path     string
		want     bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/b/c", false},
		{"a/...", "a", true},
		{"a/...", "a/b/c", true},
		{"a/...", "ab", false},
		{"a/*", "a/b", true},
		{"a/*", "a", false},
		{"a/*", "a/b/c", false},
		{"a/... !a/b/...", "a/b/c", false},
		{"a/... !a/b/...", "a/c", true},
	}
	for _, tt := range tests {
		if got := match(tt.patterns, tt.path); got != tt.want {
			t.Errorf("match(%s, %s) = %v", tt.patterns, tt.path, got)
		}
	}
}
