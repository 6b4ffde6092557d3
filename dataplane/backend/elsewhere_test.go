package backend

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/passwords"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestElsewhere finds passwords when servers ask for them, and another one when it is refused.
func TestElsewhere(t *testing.T) {
	dir := t.TempDir()
	file, pass := filepath.Join(dir, "file"), filepath.Join(dir, "pass")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const md5Hash = "md553f48b7c4b76a86ce72276c5755f217d"
	write(pass, "127.0.0.1:5432:d:u:found\n")
	salt := []byte{1, 2, 3, 4}
	refused := pgscript.ErrorResponse("FATAL", "28P01", "wrong")
	rest := pgscript.Greeting(77, []byte("1234"))
	for _, c := range []struct {
		name    string
		source  passwords.Source
		text    string // of the file
		asks    []byte
		answer  string
		then    []byte
		renewed string // what the file is when the server answers; empty: as before
		second  string // the answer on a second connection; empty: there is none
		then2   []byte
		news    string
		words   string // of the failure
		behind  string // the secret behind the sources
	}{
		{name: "is not asked for", source: passwords.Source{File: filepath.Join(dir, "missing")}, asks: rest, news: "opened"},
		{name: "a file", source: passwords.Source{File: file}, text: "one", asks: pgscript.Auth(3), answer: string(pgscript.Password("one")), then: rest, news: "opened"},
		{name: "md5", source: passwords.Source{File: file}, text: "one", asks: pgscript.Auth(5, salt), answer: string(pgscript.Password(pgscript.MD5("u", "one", salt))), then: rest, news: "opened"},
		{
			name: "what looks like a hash", source: passwords.Source{File: file}, text: md5Hash, asks: pgscript.Auth(3),
			answer: string(pgscript.Password(md5Hash)), then: rest, news: "opened",
		},
		{name: "a line", source: passwords.Source{Passfile: pass}, asks: pgscript.Auth(3), behind: "own", answer: string(pgscript.Password("found")), then: rest, news: "opened"},
		{
			name: "refused, and another one is there", source: passwords.Source{File: file}, text: "one", asks: pgscript.Auth(3), answer: string(pgscript.Password("one")),
			renewed: "two", then: refused, second: string(pgscript.Password("two")), then2: rest, news: "opened",
		},
		{
			name: "refused twice", source: passwords.Source{File: file}, text: "one", asks: pgscript.Auth(3), answer: string(pgscript.Password("one")),
			renewed: "two", then: refused, second: string(pgscript.Password("two")), then2: refused, news: "failed", words: "wrong",
		},
		{
			name: "refused, and there is no other", source: passwords.Source{File: file}, text: "one", asks: pgscript.Auth(3), answer: string(pgscript.Password("one")),
			then: refused, news: "failed", words: "wrong",
		},
		{
			name: "refused for another reason", source: passwords.Source{File: file}, text: "one", asks: pgscript.Auth(3), answer: string(pgscript.Password("one")),
			renewed: "two", then: pgscript.ErrorResponse("FATAL", "3D000", "no such database"), news: "failed", words: "no such database",
		},
		{
			name: "a file that is not there", source: passwords.Source{File: filepath.Join(dir, "missing")}, asks: pgscript.Auth(3), behind: "own", news: "failed",
			words: `there is no password for server n1 as "u": password file "` + filepath.Join(dir, "missing") + `": no such file`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			finder := passwords.New()
			defer finder.Close()
			s := newStage(t)
			write(file, c.text)
			s.begin(Elsewhere(finder, []passwords.Source{c.source}, NewSecret("ann", c.behind)))
			until := func(what string, so func() bool) {
				t.Helper()
				for end := time.Now().Add(10 * time.Second); !so(); s.loop.Step() {
					if time.Now().After(end) {
						t.Fatalf("%s does not come", what)
					}
				}
			}
			s.feed(c.asks)
			if c.answer != "" {
				until("the password", func() bool { return len(s.dialed[0].Sent) > 0 })
				s.check("the password", s.sent(), c.answer)
			}
			if c.renewed != "" {
				write(file, c.renewed)
			}
			s.feed(c.then)
			if c.second != "" {
				until("a second connection", func() bool { return len(s.dialed) == 2 && len(s.dialed[1].Sent) > 0 })
				if !s.dialed[0].Closed() {
					t.Error("the first connection is left open")
				}
				s.dialed = s.dialed[1:]
				_ = s.sent() // the start-up message
				s.feed(c.asks)
				s.check("the second password", s.sent(), c.second)
				s.feed(c.then2)
			}
			until("the outcome", func() bool { return len(s.heard) > 0 })
			s.check("the outcome", s.news(), c.news)
			if c.words != "" && (s.failed == nil || !strings.Contains(s.failed.Error(), c.words)) {
				t.Errorf("%v, want %q", s.failed, c.words)
			}
			if len(s.dialed) > 1 {
				t.Errorf("it has dialled %d times", len(s.dialed))
			}
		})
	}
}

// TestElsewhereFallsOn comes to what is behind a passfile that has no line.
func TestElsewhereFallsOn(t *testing.T) {
	pass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("*:*:*:another:x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	finder := passwords.New()
	defer finder.Close()
	s := newStage(t)
	secret := Elsewhere(finder, []passwords.Source{{Passfile: pass}}, NewSecret("ann", "own"))
	s.begin(secret)
	s.feed(pgscript.Auth(3))
	for end := time.Now().Add(10 * time.Second); len(s.dialed[0].Sent) == 0 && time.Now().Before(end); {
		s.loop.Step()
	}
	s.check("the password", s.sent(), string(pgscript.Password("own")))
	if text := fmt.Sprintf("%v %+v %s", secret, secret, secret.of("found")); strings.Contains(text, "own") || strings.Contains(text, "found") {
		t.Errorf("it shows itself: %s", text)
	}
}
