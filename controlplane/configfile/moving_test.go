package configfile_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
)

// TestMovingIn has the page for those who come from other poolers name keys that there are, and show files that are good.
func TestMovingIn(t *testing.T) {
	page := read(t, "../../docs/moving.md")
	keys := read(t, "../../docs/configuration.md")
	named := regexp.MustCompile("`((?:proxy|pool|limits|console|auth|tls|server_tls|nodes|databases|users)\\.[a-z_.]+)`").FindAllStringSubmatch(page, -1)
	for _, m := range named {
		if !strings.Contains(keys, "### `"+m[1]+"`\n") {
			t.Errorf("there is no key %s", m[1])
		}
	}
	files := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(named) < 50 || len(files) != 3 {
		t.Errorf("%d keys in %d files", len(named), len(files))
	}
	for _, m := range files {
		if f, findings := configfile.Parse("example.toml", []byte(m[1]), func(string) (string, bool) { return "", false }); f == nil || len(findings) > 0 {
			t.Errorf("%v, of\n%s", findings, m[1])
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
