package configfile_test

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
)

func sorted[K cmp.Ordered, R proto.Message](kind string, all map[K]R, show func(string, proto.Message)) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		show(kind, all[name])
	}
}

// TestSecretsStayHidden puts a word into every place of a secret, right and wrong, and looks for it in all
// that can be printed.
func TestSecretsStayHidden(t *testing.T) {
	const canary = "c4n4ry"
	env := func(string) (string, bool) { return canary, true }
	for _, file := range []string{
		"admin_token = \"${X}\"\n[[nodes]]\nhost = \"a\"\nrole = \"primary\"\n[[users]]\nname = \"u\"\npassword = \"SCRAM-SHA-256$${X}\"\nserver_password = \"${X}\"",
		"admin_token = \"${X}\"\n[[nodes]]\nhost = \"a\"\nrole = \"primary\"\n[[users]]\nname = \"u\"\npassword = \"${X}\"",
		"[[users]]\nname = \"u\"\npassword = ${X}",
		"[[users]]\nname = \"u\"\npassword = [\"${X}\"]",
		"[[users]]\nname = \"u\"\npassword = { value = \"${X}\" }",
		"admin_token = \"${X}\"\n[proxy]\nadmin_token = \"other${X}\"",
		"admin_token = \"${X}",
		"admin_token = \"${X}\\u0000\"",
	} {
		f, findings := configfile.Parse("f.toml", []byte(file), env)
		shown := fmt.Sprintf("%v %+v", findings, findings)
		if f != nil {
			shown += fmt.Sprintf("%v %+v %v %+v %#v", f.Set, f, f.Bootstrap, f.Bootstrap, f.Bootstrap)
		}
		if strings.Contains(shown, canary) {
			t.Errorf("%s\nshows the secret: %s", file, shown)
		}
	}
}

func TestLoadMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.toml")
	if _, _, err := configfile.Load(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

// FuzzParse wants every finding within the file and with a key. A line of the text with variables filled in
// that is taken for one of the file is a fault that it finds.
func FuzzParse(f *testing.F) {
	f.Add([]byte("[[nodes]]\nhost = \"a\"\n"))
	f.Add([]byte("x = '${A}'"))
	f.Add([]byte("x = \"\"\"${A}\"\"\" y"))
	f.Add([]byte("a = [[1], {b = ${X:-2}}]\n[[a.b]]\n[a.b.c]\n\"x.y[0]\" = 1"))
	f.Add([]byte("\"\" = 1\n[a]\n\"\" = 1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, findings := configfile.Parse("f", data, func(string) (string, bool) { return "a\nb", true })
		for _, finding := range findings {
			if lines := strings.Count(string(data), "\n") + 1; finding.Line < 1 || finding.Line > lines || finding.Key == "" {
				t.Errorf("%+v is not within the %d lines of the file", finding, lines)
			}
		}
	})
}
