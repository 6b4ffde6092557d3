package pgpass

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// passfileCases are lookups whose answers are libpq's; live_test.go asks it. PORT stands for the port in file and lookup.
func passfileCases() []passfileCase {
	return []passfileCase{
		{"all fields", "h:PORT:d:u:secret", "h", "d", "u", "secret", true},
		{"stars", "*:*:*:*:secret", "h", "d", "u", "secret", true},
		{"another host", "g:PORT:d:u:x", "h", "d", "u", "", false},
		{"another port", "h:PORT1:d:u:x\nh:0PORT:d:u:x", "h", "d", "u", "", false},
		{"another database", "h:PORT:e:u:x", "h", "d", "u", "", false},
		{"another user", "h:PORT:d:v:x", "h", "d", "u", "", false},
		{"the first line counts", "g:*:*:*:x\nh:*:*:*:first\n*:*:*:*:second", "h", "d", "u", "first", true},
		{"comments", "#h:PORT:d:u:x\n# *\nh:PORT:d:u:y", "h", "d", "u", "y", true},
		{"a comment after white space is none", " #*:*:*:*:x", "h", "d", "u", "", false},
		{"white space counts", " h:PORT:d:u:x\nh:PORT:d:u : y ", "h", "d", "u", "", false},
		{"white space of the password", "h:PORT:d:u: y ", "h", "d", "u", " y ", true},
		{"carriage returns", "\r\nh:PORT:d:u:y\r\r\n", "h", "d", "u", "y", true},
		{"no newline at the end", "\n\nh:PORT:d:u:y", "h", "d", "u", "y", true},
		{"escapes", `h\:\\:PORT:d\d:u\*:p\:q\\r\s`, `h:\`, "dd", "u*", `p:q\rs`, true},
		{"an escaped star", `h:PORT:\*:u:x`, "h", "d", "u", "", false},
		{"an escaped star for a star", `h:PORT:\*:u:x`, "h", "*", "u", "x", true},
		{"an escaped colon ends no field", `h\:PORT:d:u:x`, "h", "d", "u", "", false},
		{"a star within a name", "h*:PORT:d:u:x", "hh", "d", "u", "", false},
		{"two stars", "**:PORT:d:u:x", "h", "d", "u", "", false},
		{"two stars for two stars", "**:PORT:d:u:x", "**", "d", "u", "x", true},
		{"an address with colons, escaped", `fe80\:\:1:PORT:d:u:x`, "fe80::1", "d", "u", "x", true},
		{"an address with colons, as it is", "fe80::1:PORT:d:u:x", "fe80::1", "d", "u", "x", true},
		{"an address with colons, shorter", "fe80::1:PORT:d:u:x", "fe80", "d", "u", "", false},
		{"a star and a colon behind it", "*::PORT:d:u:x", "*:", "d", "u", "", false},
		{"a colon ends the password", "h:PORT:d:u:x:y", "h", "d", "u", "x", true},
		{"a backslash at the end", `h:PORT:d:u:x\`, "h", "d", "u", `x\`, true},
		{"a backslash before the end of a name", `h:PORT:d:u\`, "h", "d", "u", "", false},
		{"four fields", "h:PORT:d:u", "h", "d", "u", "", false},
		{"a prefix", "h:PORT:d:uu:x\nhh:PORT:d:u:x", "h", "d", "u", "", false},
		{"a longer value", "h:PORT:d:u:x", "hh", "d", "u", "", false},
		{"upper case", "H:PORT:d:u:x", "h", "d", "u", "", false},
		{"an empty field", ":PORT:d:u:x", "h", "d", "u", "", false},
		{"bytes above ASCII", "h:PORT:d:\u00fc:\u00e4\xff", "h", "d", "\u00fc", "\u00e4\xff", true},
		{"localhost is a name", "localhost:PORT:d:u:x", "localhost", "d", "u", "x", true},
		{"localhost is not 127.0.0.1", "localhost:PORT:d:u:x", "127.0.0.1", "d", "u", "", false},
		{"localhost is not any directory", "localhost:PORT:d:u:x", "/var/run", "d", "u", "", false},
		{"localhost is not a directory with a slash", "localhost:PORT:d:u:x", "/var/run/postgresql/", "d", "u", "", false},
		{"localhost is Debian's directory", "localhost:PORT:d:u:x", "/var/run/postgresql", "d", "u", "x", true},
		{"another directory", "/srv:PORT:d:u:x", "/srv", "d", "u", "x", true},
	}
}

type passfileCase struct {
	name, text, host, database, user string
	password                         string
	ok                               bool
}

// with returns the file for a port.
func (c passfileCase) with(port int) string {
	return strings.ReplaceAll(c.text, "PORT", strconv.Itoa(port))
}

func TestLookup(t *testing.T) {
	for _, tt := range append(passfileCases(), // what libpq fills in before it looks, and what depends on how it was compiled
		passfileCase{"no host", "localhost:PORT:d:u:x", "", "d", "u", "x", true},
		passfileCase{"no database", "*:*:*:*:x", "h", "", "u", "", false},
		passfileCase{"no user", "*:*:*:*:x", "h", "d", "", "", false},
		passfileCase{"PostgreSQL's directory", "localhost:PORT:d:u:x", "/tmp", "d", "u", "x", true},
		passfileCase{"PostgreSQL's directory by its name", "/tmp:PORT:d:u:x", "/tmp", "d", "u", "x", true},
		passfileCase{"an empty password", "*:*:*:*:", "h", "d", "u", "", true},
		passfileCase{"a zero byte", "*:*:*:*:x\x00\n*:*:*:*:y", "h", "d", "u", "y", true},
		passfileCase{"no lines", "", "h", "d", "u", "", false},
	) {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := ParsePassfile("f", []byte(tt.with(5433)))
			if got, ok := p.Lookup(tt.host, 5433, tt.database, tt.user); got != tt.password || ok != tt.ok {
				t.Errorf("got %q, %t; want %q, %t", got, ok, tt.password, tt.ok)
			}
		})
	}
	p, _ := ParsePassfile("f", []byte("h:5432:d:u:x"))
	if got, ok := p.Lookup("h", 0, "d", "u"); got != "x" || !ok {
		t.Errorf("without a port: %q, %t", got, ok)
	}
}

func TestPassfileProblems(t *testing.T) {
	for text, want := range map[string][]string{
		"":                       nil,
		"# a:b\n\n\r\na:b:c:d:e": nil,
		`a\:b:b:c\\:d:e\:\`:      nil,
		"\na:b:c:hunter2\nhunter2\nx:y:z:u:hunter2:\na\x00b:::::": {
			"f:2: 4 fields, want host:port:database:user:password",
			"f:3: 1 fields, want host:port:database:user:password",
			`f:4: 6 fields, more than host:port:database:user:password: a colon in a field is written \:`,
			"f:5: the line holds a zero byte and is left out",
		},
	} {
		_, problems := ParsePassfile("f", []byte(text))
		var got []string
		for _, p := range problems {
			got = append(got, p.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestReadPassfile(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode fs.FileMode, text string) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	const line = "*:*:*:*:hunter2\n"
	link := filepath.Join(dir, "link")
	if err := os.Symlink(write("0600", 0o600, line+"x\n"), link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "0600"): "",
		link:                       "",
		write("0400", 0o400, line): "",
		write("0700", 0o700, line): "",
		write("0640", 0o640, line): "has group or world access; permissions should be u=rw (0600) or less",
		write("0604", 0o604, line): "has group or world access",
		write("0620", 0o620, line): "has group or world access",
		write("0601", 0o601, line): "has group or world access",
		write("large", 0o600, strings.Repeat("#", 1<<20)+"\n"): "has 1048577 bytes, more than 1048576",
		dir:                        "is not a plain file",
		pipe:                       "is not a plain file",
		filepath.Join(dir, "none"): "no such file or directory",
	} {
		p, problems, err := ReadPassfile(path)
		password, ok := p.Lookup("h", 1, "d", "u")
		if want == "" {
			if err != nil || password != "hunter2" || !ok {
				t.Errorf("%s: %q, %t, %v", path, password, ok, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) || ok || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %t, %v; want %s", path, ok, err, want)
		}
		if path == link && fmt.Sprint(problems) != "["+link+":2: 1 fields, want host:port:database:user:password]" {
			t.Errorf("problems are %v", problems)
		}
	}
	if _, _, err := ReadPassfile(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}

// lookupFault writes an entry with every colon and backslash escaped, and one of stars behind it, and looks for it.
func lookupFault(host, database, user, password string, escape func(string) string) string {
	if host == "" || database == "" || user == "" || strings.ContainsAny(host+database+user+password, "\x00\n\r") || host[0] == '#' {
		return "" // such a line cannot be written
	}
	line := escape(host) + ":5432:" + escape(database) + ":" + escape(user) + ":" + escape(password) + "\n"
	p, problems := ParsePassfile("f", []byte(line+"*:*:*:*:other\n"))
	if got, ok := p.Lookup(host, 5432, database, user); !ok || got != password || len(problems) != 0 {
		return fmt.Sprintf("%q gives %q, %t, %v", line, got, ok, problems)
	}
	if got, ok := p.Lookup(host+"x", 5432, database, user); got != "other" || !ok {
		return fmt.Sprintf("%q gives another host %q, %t", line, got, ok)
	}
	if got, ok := p.Lookup(host, 5433, database, user); got != "other" || !ok {
		return fmt.Sprintf("%q gives another port %q, %t", line, got, ok)
	}
	return ""
}

func escape(s string) string {
	s = strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace(s)
	if s == "*" {
		return `\*`
	}
	return s
}

func FuzzPassfile(f *testing.F) {
	f.Add("h", "d", "u", "secret", []byte("h:5432:d:u:x\n"))
	f.Add("::1", `d\`, "*", `p:\`, []byte("#\n::1:*:d\\\\:\\*:x:y\n\\"))
	f.Fuzz(func(t *testing.T, host, database, user, password string, text []byte) {
		if fault := lookupFault(host, database, user, password, escape); fault != "" {
			t.Error(fault)
		}
		p, _ := ParsePassfile("f", text)
		if got, ok := p.Lookup(host, 5432, database, user); !ok && got != "" || strings.ContainsAny(got, "\x00\n") {
			t.Errorf("%q gives %q, %t", text, got, ok)
		}
	})
}

// TestPlantedPassfileFault shows that the fuzz target would notice a colon that is not escaped.
func TestPlantedPassfileFault(t *testing.T) {
	lax := func(s string) string { return s }
	if lookupFault("h", "d", "u", "a:b", lax) == "" {
		t.Error("a password that ends at a colon is not found")
	}
}
