package scram_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// TestPostgreSQL holds Derive against the verifiers that PostgreSQL makes, and Client against its server.
func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	server := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all all all scram-sha-256"}}).Primary
	for name, password := range map[string]string{
		"ascii":         "se same",
		"control":       "a\x01b",
		"precomposed":   "caf\u00e9",
		"decomposed":    "cafe\u0301",
		"compatible":    "\u2168\ufb01",      // Ⅸ, ﬁ: NFKC
		"no-break":      "a\u00a0b",          // a space
		"zero width":    "a\u200bb",          // both a space and mapped to nothing
		"soft hyphen":   "a\u00adb",          // mapped to nothing
		"only hyphen":   "\u00ad",            // maps to nothing at all
		"arabic":        "\u0627\u0628",      // right to left
		"mixed":         "\u0627a",           // refused by the bidi rule
		"arabic digits": "\u06271",           // refused: must end right to left
		"prohibited":    "a\u0007\u00e9",     // control and not ASCII
		"private":       "\ue000x",           // prohibited
		"unassigned":    "\u0221\u1e9e x",    // not in Unicode 3.2
		"astral":        "\U0001d400\u00e9x", // mathematical A: NFKC
		"hangul":        "\u1112\u1161\u11ab",
		"emoji":         "\U0001f600",
	} {
		t.Run(name, func(t *testing.T) {
			server.CreateRole(t, name, password, "scram-sha-256")
			stored := server.Query(t, "select rolpassword from pg_authid where rolname = '"+name+"'")[0][0]
			want, err := scram.ParseVerifier(stored)
			if err != nil || want.String() != stored {
				t.Fatalf("%s reads as %s, %v", stored, want, err)
			}
			got, clientKey := scram.Derive(password, want.Salt, want.Iterations)
			if got.String() != stored {
				t.Errorf("%q: verifier is %s, PostgreSQL has %s", password, got, stored)
			}
			if err := login(server.Addr(), name, clientKey, want); err != nil {
				t.Error(err)
			}
			clientKey[0] ^= 1
			if err := login(server.Addr(), name, clientKey, want); err == nil || !strings.Contains(err.Error(), "28P01") {
				t.Errorf("with the wrong key: %v, want 28P01", err)
			}
		})
	}
}

// login walks a whole exchange with a real server.
func login(addr, user string, key scram.ClientKey, keys scram.Keys) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	c, err := scram.NewClient(rand.Reader)
	if err != nil {
		return err
	}
	body := "\x00\x03\x00\x00user\x00" + user + "\x00database\x00postgres\x00\x00"
	conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...))
	if _, err := request(conn, pgwire.AuthSASL); err != nil {
		return err
	}
	first := c.First()
	initial := binary.BigEndian.AppendUint32([]byte(scram.Mechanism+"\x00"), uint32(len(first)))
	conn.Write(pgwire.Append(nil, pgwire.Password, append(initial, first...)))
	challenge, err := request(conn, pgwire.AuthSASLContinue)
	if err != nil {
		return err
	}
	if _, _, err := c.Salt(challenge); err != nil {
		return err
	}
	conn.Write(pgwire.Append(nil, pgwire.Password, c.Final(key, keys.ServerKey)))
	final, err := request(conn, pgwire.AuthSASLFinal)
	if err != nil {
		return err
	}
	return c.Verify(final)
}

// request reads an authentication request with this code and returns its data.
func request(r io.Reader, code uint32) ([]byte, error) {
	kind, body, err := read(r)
	if err != nil {
		return nil, err
	}
	if kind != pgwire.Authentication || binary.BigEndian.Uint32(body) != code {
		return nil, fmt.Errorf("got %q %q, want authentication request %d", kind, body, code)
	}
	return body[4:], nil
}

func read(r io.Reader) (kind byte, body []byte, err error) {
	var header [pgwire.HeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, pgwire.Body(header[:]))
	_, err = io.ReadFull(r, body)
	return header[0], body, err
}

// TestLibpq lets psql log in: libpq says whether it believes the server.
func TestLibpq(t *testing.T) {
	t.Parallel()
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Fatal("psql is not installed: it comes with PostgreSQL")
	}
	keys, _ := scram.NewKeys("caf\u00e9")
	impostor := keys
	impostor.ServerKey[0] ^= 1
	for _, tt := range []struct {
		name, password string
		keys           scram.Keys
		want           string
	}{
		{"right", "cafe\u0301", keys, "you are in"},
		{"wrong", "cafe", keys, "no entry"},
		{"unknown", "caf\u00e9", scram.MockKeys("secret", "u"), "no entry"},
		{"impostor", "caf\u00e9", impostor, "incorrect server signature"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := freeport.For(t)
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			served := make(chan error, 1)
			go func() { served <- admit(l, tt.keys) }()
			cmd := exec.CommandContext(t.Context(), psql, "-X", "-c", "select 1",
				fmt.Sprintf("host=127.0.0.1 port=%d user=u dbname=d sslmode=disable gssencmode=disable", port))
			cmd.Env = append(os.Environ(), "PGPASSWORD="+tt.password)
			out, _ := cmd.CombinedOutput()
			if !strings.Contains(string(out), tt.want) {
				t.Errorf("psql says %q, want %q; server: %v", out, tt.want, <-served)
			}
		})
	}
}

// admit lets one client in or not; in both cases the connection ends with an error that says which.
func admit(l net.Listener, keys scram.Keys) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size[:]))-4); err != nil {
		return err
	}
	conn.Write(pgwire.AppendAuthentication(nil, pgwire.AuthSASL, []byte(scram.Mechanism+"\x00\x00")))
	_, body, err := read(conn)
	if err != nil {
		return err
	}
	s := scram.NewServer(keys, rand.Reader)
	_, data, _ := bytes.Cut(body, []byte{0})
	challenge, err := s.First(data[4:])
	if err != nil {
		return err
	}
	conn.Write(pgwire.AppendAuthentication(nil, pgwire.AuthSASLContinue, challenge))
	if _, body, err = read(conn); err != nil {
		return err
	}
	final, _, err := s.Final(body)
	if err != nil {
		conn.Write(pgwire.Append(nil, pgwire.ErrorResponse, []byte("SFATAL\x00C28P01\x00Mno entry\x00\x00")))
		return err
	}
	conn.Write(pgwire.AppendAuthentication(nil, pgwire.AuthSASLFinal, final))
	conn.Write(pgwire.AppendAuthentication(nil, pgwire.AuthOK, nil))
	conn.Write(pgwire.Append(nil, pgwire.ErrorResponse, []byte("SFATAL\x00C57P01\x00Myou are in\x00\x00")))
	return nil
}
