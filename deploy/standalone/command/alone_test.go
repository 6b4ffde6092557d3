package command_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckAlone checks each kind of file by itself: a good one passes, and what is wrong with another is told with its line.
func TestCheckAlone(t *testing.T) {
	for _, c := range []struct{ flag, good, bad, says string }{
		{"--hba", "local all all trust\nhost all all 10.0.0.0/8 scram-sha-256\n", "local all all trust\nhost all all 10.0.0.0/8 sesame\n", ":2: hba: "},
		{"--hba", "hostssl all all all pam\n", "host all +staff all md5\n", ":1: hba: "},
		{"--ident", "m ann ann_at_db\n", "m ann ann_at_db\nm\n", ":2: ident: "},
		{"--auth-file", `"ann" "md5abc"` + "\n", "\"ann\" \"md5abc\n", ":1: auth_file: "},
		{"--passfile", "*:*:*:ann:secret\n", "*:*:*\n", ":1: passfile: "},
		{"--resources", "", "apiVersion: helios/v1\nkind: Cluster\nmetadata:\n  name: main\nspec:\n  colour: red\n", ":6: spec.colour: "},
		{"--resources", "", "apiVersion: helios/v1\nkind: Database\nmetadata:\n  name: shop\nspec:\n  cluster: none\n", ":1: Database/shop.cluster: "},
	} {
		path := filepath.Join(t.TempDir(), "file")
		write(t, path, c.good)
		if code, out, errs := run("check", c.flag, path); code != 0 || out+errs != "" {
			t.Errorf("%s with\n%s\nexit %d: %s%s", c.flag, c.good, code, out, errs)
		}
		write(t, path, c.bad)
		if code, out, _ := run("check", c.flag, path); code != 1 || !strings.Contains(out, path+c.says) || strings.Count(out, "\n") > 2 {
			t.Errorf("%s with\n%s\nexit %d: %s", c.flag, c.bad, code, out)
		}
		if code, out, _ := run("check", "-o", "json", c.flag, path); code != 1 || !strings.Contains(out, `"passed": false`) {
			t.Errorf("%s -o json: exit %d: %s", c.flag, code, out)
		}
	}
	twice := filepath.Join(t.TempDir(), "twice")
	write(t, twice, "\"dup\" \"one\"\n\"dup\" \"two\"\n")
	if code, out, _ := run("check", "--auth-file", twice); code != 0 || !strings.Contains(out, ":2: auth_file: user \"dup\" stands on line 1, too") {
		t.Errorf("a name that stands twice: exit %d: %s", code, out)
	}
	if code, out, _ := run("check", "--strict", "--auth-file", twice); code != 1 {
		t.Errorf("a name that stands twice, --strict: exit %d: %s", code, out)
	}
	if code, _, errs := run("check", "--hba", "a", "--ident", "b"); code != 2 || !strings.Contains(errs, "one file is checked at a time") {
		t.Errorf("two files: exit %d: %s", code, errs)
	}
	if code, _, errs := run("check", "--hba", filepath.Join(t.TempDir(), "none")); code != 1 || !strings.Contains(errs, "no such file") {
		t.Errorf("no file: exit %d: %s", code, errs)
	}
}
