package pgpass

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
)

// A libpq asks psql which password it finds in a file: it sends it in clear text to a server that asks for it.
type libpq struct {
	psql, file string
	port       int
	listener   net.Listener
}

func newLibpq(t *testing.T) *libpq {
	t.Helper()
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Fatal("psql is not installed: it comes with PostgreSQL")
	}
	if direct, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql"); len(direct) > 0 {
		psql = direct[len(direct)-1] // Debian's in PATH is a Perl program that starts it, which takes far longer than all else here
	}
	port := freeport.For(t)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &libpq{psql, filepath.Join(t.TempDir(), "pgpass"), port, l}
}

// lookup returns the password that libpq sends for a file, whether it has one, and what psql says.
func (q *libpq) lookup(t *testing.T, text string, mode os.FileMode, host, database, user string) (password string, ok bool, said string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(q.file, []byte(text), 0o600), os.Chmod(q.file, mode)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		var err error
		password, ok, err = q.serve()
		done <- err
	}()
	value := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" }
	cmd := exec.CommandContext(t.Context(), q.psql, "-X", "-w", "-c", "select 1", fmt.Sprintf(
		"hostaddr=127.0.0.1 host=%s port=%d dbname=%s user=%s sslmode=disable gssencmode=disable passfile=%s",
		value(host), q.port, value(database), value(user), value(q.file)))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	out, _ := cmd.CombinedOutput()
	if err := <-done; err != nil {
		t.Fatalf("%v; psql says %s", err, out)
	}
	return password, ok, string(out)
}

// serve asks one client for its password.
func (q *libpq) serve() (password string, ok bool, err error) {
	q.listener.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second)) // should psql not come
	conn, err := q.listener.Accept()
	if err != nil {
		return "", false, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return "", false, err
	}
	if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size[:]))-4); err != nil {
		return "", false, err
	}
	conn.Write(pgwire.AppendAuthentication(nil, pgwire.AuthCleartext, nil))
	var header [pgwire.HeaderSize]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return "", false, nil // it has none
	}
	body := make([]byte, pgwire.Body(header[:]))
	if _, err := io.ReadFull(conn, body); err != nil || header[0] != pgwire.Password {
		return "", false, fmt.Errorf("message %q: %w", header[0], err)
	}
	conn.Write(pgwire.Append(nil, pgwire.ErrorResponse, []byte("SFATAL\x00C28P01\x00Mthank you\x00\x00")))
	return strings.TrimSuffix(string(body), "\x00"), true, nil
}

// TestLibpq holds Lookup against libpq: the table, and random files that are short and full of what matters.
func TestLibpq(t *testing.T) {
	t.Parallel()
	q := newLibpq(t)
	for _, tt := range passfileCases() {
		t.Run(tt.name, func(t *testing.T) {
			got, ok, said := q.lookup(t, tt.with(q.port), 0o600, tt.host, tt.database, tt.user)
			if got != tt.password || ok != tt.ok {
				t.Errorf("libpq has %q, %t, the table says %q, %t; psql: %s", got, ok, tt.password, tt.ok, said)
			}
		})
	}
	t.Run("random", func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		pick := func(letters string, most int) string {
			b := make([]byte, 1+r.IntN(most))
			for i := range b {
				b[i] = letters[r.IntN(len(letters))]
			}
			return string(b)
		}
		field := func(value string) string { // more or less what fits
			switch r.IntN(8) {
			case 0:
				return "*"
			case 1:
				return pick(`a:\*`, 3)
			case 2:
				return `\` + value
			case 3, 4:
				return value
			}
			return escape(value)
		}
		const files = 40
		found := 0
		for range files {
			host, database, user := pick(`a:\*`, 3), pick(`a\*`, 2), pick(`a\*:`, 2)
			var text strings.Builder
			for range 4 {
				fmt.Fprintf(&text, "%s:*:%s:%s:%s\n", field(host), field(database), field(user), pick(`ab:\ `, 4))
			}
			p, _ := ParsePassfile("f", []byte(text.String()))
			got, ok := p.Lookup(host, q.port, database, user)
			want, has, said := q.lookup(t, text.String(), 0o600, host, database, user)
			if ok && got == "" {
				ok = false // libpq sends no empty password
			}
			if got != want || ok != has {
				t.Errorf("host %q, database %q, user %q: %q, %t; libpq has %q, %t (%s) in\n%s", host, database, user, got, ok, want, has, said, text.String())
			}
			if ok {
				found++
			}
		}
		if found < files/4 || found > files*9/10 {
			t.Errorf("%d of %d random files had a password: that says little", found, files)
		}
	})
	t.Run("access", func(t *testing.T) {
		_, ok, said := q.lookup(t, "*:*:*:*:x\n", 0o640, "h", "d", "u")
		_, _, err := ReadPassfile(q.file)
		if ok || err == nil || !strings.Contains(said, err.Error()) {
			t.Errorf("libpq has a password: %t; psql says %s; we say %v", ok, said, err)
		}
	})
}
