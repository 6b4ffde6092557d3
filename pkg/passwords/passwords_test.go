package passwords

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const canary = "s3cr3t-canary"

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func finder(t *testing.T) *Finder {
	f := New()
	t.Cleanup(f.Close)
	return f
}

// TestFind looks in files and asks commands, alone and in a row.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("pass"), "db:5432:shop:ann:"+canary+"\n*:*:*:empty:\n", 0o600)
	write(t, at("open"), "*:*:*:*:"+canary+"\n", 0o640)
	write(t, at("token"), canary+"\r\nrest", 0o644)
	write(t, at("empty"), "\n"+canary, 0o600)
	write(t, at("zero"), canary+"\x00\n", 0o600)
	write(t, at("big"), strings.Repeat(canary, maxText/len(canary)+1), 0o600)
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	sh := func(script string, args ...string) Source {
		return Source{Command: append([]string{"sh", "-c", script, "sh"}, args...), Lifetime: time.Minute}
	}
	pass, token := Source{Passfile: at("pass")}, Source{File: at("token")}
	for _, c := range []struct {
		name     string
		user     string
		sources  []Source
		password string // empty: there is none
		err      string // a part of it
	}{
		{name: "nowhere", user: "ann"},
		{name: "a line of a passfile", user: "ann", sources: []Source{pass}, password: canary},
		{name: "no line that fits", user: "bob", sources: []Source{pass}},
		{name: "a line without a password", user: "empty", sources: []Source{pass}},
		{name: "a line, and a file behind it", user: "ann", sources: []Source{pass, {File: at("missing")}}, password: canary},
		{name: "no line, and a file behind it", user: "bob", sources: []Source{pass, token}, password: canary},
		{name: "no line in two", user: "bob", sources: []Source{pass, pass}},
		{name: "a passfile that others may read", user: "ann", sources: []Source{{Passfile: at("open")}, token}, err: "group or world access"},
		{name: "a passfile that is not there", user: "ann", sources: []Source{{Passfile: at("missing")}, token}, err: "no such file"},
		{name: "a file", user: "ann", sources: []Source{token}, password: canary},
		{name: "a file that is not there", user: "ann", sources: []Source{{File: at("missing")}, token}, err: "no such file"},
		{name: "a file that begins with an empty line", user: "ann", sources: []Source{{File: at("empty")}}, err: "the first line is empty"},
		{name: "a file with a zero byte", user: "ann", sources: []Source{{File: at("zero")}}, err: "zero byte"},
		{name: "a large file", user: "ann", sources: []Source{{File: at("big")}}, err: "more than 65536 bytes"},
		{name: "a directory", user: "ann", sources: []Source{{File: dir}}, err: "is not a plain file"},
		{name: "a pipe that nobody writes to", user: "ann", sources: []Source{{File: at("pipe")}}, err: "is not a plain file"},
		{name: "a command", user: "ann", sources: []Source{sh("echo " + canary + "; echo rest")}, password: canary},
		{
			name: "what stands for what", user: "{database}", password: "db 5432 {database} shop {else}",
			sources: []Source{sh(`echo "$1 $2 $3 $4 $5"`, "{host}", "{port}", "{user}", "{database}", "{else}")},
		},
		{name: "an argument that a shell would run", user: "$(id); `id`", sources: []Source{sh(`echo "$1"`, "a {user}")}, password: "a $(id); `id`"},
		{name: "the proxy's environment", user: "ann", sources: []Source{sh("echo $PASSWORDS_TEST")}, password: canary},
		{name: "a command that fails", user: "ann", sources: []Source{sh("echo " + canary + "; echo " + canary + " >&2; exit 3"), token}, err: "exit status 3"},
		{name: "a command that prints nothing", user: "ann", sources: []Source{sh("true")}, err: "the first line is empty"},
		{name: "a command that prints for ever", user: "ann", sources: []Source{{Command: []string{"yes", canary}}}, err: "more than 65536 bytes"},
		{name: "a command that is not there", user: "ann", sources: []Source{{Command: []string{at("missing"), canary}}}, err: "no such file"},
		{name: "a program is not chosen by who connects", user: "sh", sources: []Source{{Command: []string{"{user}", "-c", "echo x"}}}, err: "executable file not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("PASSWORDS_TEST", canary)
			password, ok, err := finder(t).Find(c.sources, Login{Host: "db", Port: 5432, User: c.user, Database: "shop"}, "")
			if password != c.password || ok != (c.password != "") {
				t.Errorf("%q, %t; want %q", password, ok, c.password)
			}
			switch {
			case (err != nil) != (c.err != ""):
				t.Errorf("error %v, want %q", err, c.err)
			case err != nil && !strings.Contains(err.Error(), c.err):
				t.Errorf("error %v, want %q", err, c.err)
			case err != nil && strings.Contains(err.Error(), canary):
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// TestFileChanges reads a file again each time, and a passfile.
func TestFileChanges(t *testing.T) {
	path, f := filepath.Join(t.TempDir(), "file"), finder(t)
	for i := range 3 {
		write(t, path, fmt.Sprint("*:*:*:*:", i), 0o600)
		for what, s := range map[string]Source{"passfile": {Passfile: path}, "file": {File: path}} {
			want := map[string]string{"passfile": fmt.Sprint(i), "file": fmt.Sprint("*:*:*:*:", i)}[what]
			if got, _, err := f.Find([]Source{s}, Login{User: "u", Database: "d"}, ""); got != want || err != nil {
				t.Errorf("%s: %q, %v; want %q", what, got, err, want)
			}
		}
	}
}

// TestCheck says at once what will not do on this machine, and what may come.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("pass"), "*:*:*:*:"+canary+"\n"+canary+"\n", 0o600)
	write(t, at("open"), "*:*:*:*:"+canary+"\n", 0o644)
	write(t, at("token"), canary, 0o644)
	for _, c := range []struct {
		source        Source
		warnings, err string // parts
	}{
		{source: Source{Passfile: at("pass")}, warnings: "pass:2: 1 fields"},
		{source: Source{Passfile: at("open")}, err: "group or world access"},
		{source: Source{Passfile: at("missing")}, err: "no such file"},
		{source: Source{File: at("token")}},
		{source: Source{File: at("missing")}, warnings: "no such file"},
		{source: Source{Command: []string{"sh", canary}}},
		{source: Source{Command: []string{at("missing"), canary}}, err: "no such file"},
		{source: Source{Command: []string{at("token"), canary}}, err: "permission denied"},
	} {
		warnings, err := Check(c.source)
		said := strings.Join(warnings, "; ")
		if (said != "") != (c.warnings != "") || !strings.Contains(said, c.warnings) {
			t.Errorf("%s: warnings %q, want %q", c.source, said, c.warnings)
		}
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", c.source, err, c.err)
		}
		if all := fmt.Sprintf("%s %v %+v %#v %v", said, c.source, c.source, c.source, err); strings.Contains(all, canary) {
			t.Errorf("it shows a secret: %s", all)
		}
	}
}

// TestSame holds a source against others.
func TestSame(t *testing.T) {
	made := func() Source { return Source{Command: []string{"a", "b"}, Lifetime: 1} }
	if !made().Same(made()) {
		t.Error("it is another one than itself")
	}
	for what, change := range map[string]func(*Source){
		"passfile": func(s *Source) { s.Passfile = "x" }, "file": func(s *Source) { s.File = "x" },
		"command": func(s *Source) { s.Command[1] = "x" }, "lifetime": func(s *Source) { s.Lifetime = 2 },
	} {
		s := made()
		if change(&s); s.Same(made()) {
			t.Errorf("%s: another one is taken for the same", what)
		}
	}
}
