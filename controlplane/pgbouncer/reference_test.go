package pgbouncer

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
)

// TestKeys holds the table against the list of what PgBouncer 1.25 knows: all of it is there, and nothing that is neither of it nor newer.
func TestKeys(t *testing.T) {
	data, err := os.ReadFile("testdata/keys-1.25")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	section := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		default:
			for name := range strings.FieldsSeq(line) {
				want[section+"/"+name] = true
			}
		}
	}
	if len(want) < 130 {
		t.Fatalf("the list was not read: %d keys", len(want))
	}
	for _, k := range keys() {
		name := k.section + "/" + k.name
		if want[name] == k.later {
			t.Errorf("%s: in 1.25 %v, later %v", name, want[name], k.later)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is not in the table", name)
	}
}

// TestTable wants every row to say what becomes of a key, and to be read as PgBouncer's default is.
func TestTable(t *testing.T) {
	for _, k := range keys() {
		name := k.section + "/" + k.name
		if k.to == nil && k.lack == "" && k.doc == "" {
			t.Errorf("%s: it is not said what becomes of it", name)
		}
		if k.how == nil && len(k.to) > 0 && k.lack == "" {
			tr := &translator{o: Options{Key: configfile.Key}}
			if _, _, ok := tr.takes(k.to); !ok {
				t.Errorf("%s: there is no %v, and it is not said what happens instead", name, k.to)
			}
		}
		tr := &translator{}
		if _, ok := tr.value(setting{k, origin{}, k.def, false}); ok != (k.def != "") || len(tr.findings) > 0 {
			t.Errorf("%s: default %q: %v", name, k.def, tr.findings)
		}
	}
}

const (
	docPath  = "../../docs/pgbouncer.md"
	docBegin = "<!-- generated from controlplane/pgbouncer: go test ./controlplane/pgbouncer -update -->\n"
	docEnd   = "<!-- end -->\n"
)

// TestReference wants docs/pgbouncer.md to have the table of keys.
func TestReference(t *testing.T) {
	data, err := os.ReadFile(docPath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(data), docBegin)
	got, after, ok2 := strings.Cut(rest, docEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s lost the marks around its generated part", docPath)
	}
	want := reference()
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(docPath, []byte(before+docBegin+want+docEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s is not what the table of keys says; run this test with -update", docPath)
	}
}

// reference is a table a section.
func reference() string {
	var b strings.Builder
	for _, section := range []string{"pgbouncer", "databases", "users", "peers"} {
		fmt.Fprintf(&b, "\n### `[%s]`\n\n| key | unless set | what becomes of it |\n|---|---|---|\n", section)
		for _, k := range keys() {
			if k.section == section {
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.name, code(k.def), becomes(k))
			}
		}
	}
	return b.String() + "\n"
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// becomes is what the table says of a key. A key of proxy.toml that may not be there is told with what happens then.
func becomes(k key) string {
	says := k.doc
	if says == "" && len(k.to) > 0 {
		says = "`" + k.to[0] + "`"
		if k.zero == zeroNever {
			says += "; 0 becomes a year"
		}
		if k.lack != "" {
			says += "; where there is no such key: " + k.lack
		}
	} else if says == "" {
		says = "nothing: " + k.lack
	}
	if k.level == failure {
		says += " (an error)"
	}
	if k.later {
		says += " (newer than 1.25)"
	}
	return strings.ReplaceAll(says, "|", `\|`)
}

// TestListOf: what is between commas.
func TestListOf(t *testing.T) {
	for s, want := range map[string][]string{"": nil, " , ": nil, "a, b,,c ": {"a", "b", "c"}} {
		if got := listOf(s); !slices.Equal(got, want) {
			t.Errorf("%q: got %q", s, got)
		}
	}
}
