package scram_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
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

// login walks a whole exchange with a real server, without TLS.
func login(addr, user string, key scram.ClientKey, keys scram.Keys) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	return logIn(conn, nil, scram.Prefer, user, key, keys)
}

// logIn walks a whole exchange on a connection whose server has this end point, and closes it.
func logIn(conn net.Conn, endPoint []byte, want scram.ChannelBinding, user string, key scram.ClientKey, keys scram.Keys) error {
	defer conn.Close()
	offer, err := start(conn, user)
	if err != nil {
		return err
	}
	c, err := scram.NewClient(rand.Reader)
	if err != nil {
		return err
	}
	mechanism, err := c.Select(offer, endPoint, want)
	if err != nil {
		return err
	}
	conn.Write(initial(mechanism, c.First()))
	challenge, err := request(conn, pgwire.AuthSASLContinue)
	if err != nil {
		return err
	}
	salt, iterations, err := c.Salt(challenge)
	if err == nil {
		err = keys.Match(salt, iterations)
	}
	if err != nil {
		return err
	}
	conn.Write(pgwire.Append(nil, pgwire.Password, c.Final(key, keys.ServerKey)))
	final, err := request(conn, pgwire.AuthSASLFinal)
	if err != nil {
		return err
	}
	if err := c.Verify(final); err != nil {
		return err
	}
	_, err = request(conn, pgwire.AuthOK)
	return err
}

// start sends a StartupMessage and returns the list of mechanisms that the server offers.
func start(conn net.Conn, user string) ([]byte, error) {
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	conn.Write(pgwire.AppendStartup(nil, pgwire.Parameter{Name: "user", Value: user}, pgwire.Parameter{Name: "database", Value: "postgres"}))
	return request(conn, pgwire.AuthSASL)
}

// initial is a SASLInitialResponse.
func initial(mechanism string, first []byte) []byte {
	body := binary.BigEndian.AppendUint32([]byte(mechanism+"\x00"), uint32(len(first)))
	return pgwire.Append(nil, pgwire.Password, append(body, first...))
}

// request reads an authentication request with this code and returns its data.
func request(r io.Reader, code uint32) ([]byte, error) {
	kind, body, err := read(r)
	if err != nil {
		return nil, err
	}
	if kind == pgwire.ErrorResponse {
		se, err := pgwire.ReadError(body)
		if err != nil {
			return nil, err
		}
		return nil, se
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
			out, _, served := psql(t, door{keys: tt.keys}, tt.password, "sslmode=disable")
			if !strings.Contains(out, tt.want) {
				t.Errorf("psql says %q, want %q; server: %v", out, tt.want, served)
			}
		})
	}
}

// psql lets psql log in at a door, and returns what it says, the key that the door has learnt, and the door's error.
func psql(t *testing.T, d door, password, conninfo string) (out string, key scram.ClientKey, served error) {
	t.Helper()
	program, err := exec.LookPath("psql")
	if err != nil {
		t.Fatal("psql is not installed: it comes with PostgreSQL")
	}
	port := freeport.For(t)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		key, served = d.admit(l)
	}()
	cmd := exec.CommandContext(t.Context(), program, "-X", "-c", "select 1",
		fmt.Sprintf("host=127.0.0.1 port=%d user=u dbname=d gssencmode=disable %s", port, conninfo))
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
	said, _ := cmd.CombinedOutput()
	l.Close() // should psql not have come
	<-done
	return string(said), key, served
}

// A door is a server that has a verifier and no more.
type door struct {
	keys     scram.Keys
	cert     *tls.Certificate // nil: no TLS
	endPoint []byte           // what Server is told of cert
	offer    []byte           // what the client is shown, if it is not what follows from endPoint
}

// admit lets one client in or not; in both cases the connection ends with an error that says which. key is what the
// client's proof tells.
func (d door) admit(l net.Listener) (key scram.ClientKey, err error) {
	conn, err := l.Accept()
	if err != nil {
		return key, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if d.cert != nil {
		if err := skip(conn); err != nil { // SSLRequest
			return key, err
		}
		conn.Write([]byte("S"))
		conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*d.cert}})
	}
	if err := skip(conn); err != nil { // StartupMessage
		return key, err
	}
	verdict, key, err := d.ask(conn)
	switch {
	case errors.Is(err, scram.ErrFailed):
		conn.Write(pgwire.Append(nil, pgwire.ErrorResponse, []byte("SFATAL\x00C28P01\x00Mno entry\x00\x00")))
	case err != nil:
		conn.Write(pgwire.Append(nil, pgwire.ErrorResponse, []byte("SFATAL\x00C28000\x00M"+err.Error()+"\x00\x00")))
	default:
		conn.Write(pgwire.AppendAuthentication(nil, pgwire.AuthSASLFinal, verdict))
		conn.Write(pgwire.AppendAuthentication(nil, pgwire.AuthOK, nil))
		conn.Write(pgwire.Append(nil, pgwire.ErrorResponse, []byte("SFATAL\x00C57P01\x00Myou are in\x00\x00")))
	}
	return key, err
}

func (d door) ask(conn net.Conn) (verdict []byte, key scram.ClientKey, err error) {
	offer := d.offer
	if offer == nil {
		offer = scram.Offer(d.endPoint)
	}
	conn.Write(pgwire.AppendAuthentication(nil, pgwire.AuthSASL, offer))
	_, body, err := read(conn)
	if err != nil {
		return nil, key, err
	}
	mechanism, data, _ := bytes.Cut(body, []byte{0})
	s := scram.NewServer(d.keys, rand.Reader)
	if err := s.Select(string(mechanism), d.endPoint); err != nil {
		return nil, key, err
	}
	challenge, err := s.First(data[4:])
	if err != nil {
		return nil, key, err
	}
	conn.Write(pgwire.AppendAuthentication(nil, pgwire.AuthSASLContinue, challenge))
	if _, body, err = read(conn); err != nil {
		return nil, key, err
	}
	return s.Final(body)
}

// skip reads over a message without a kind.
func skip(r io.Reader) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, r, int64(binary.BigEndian.Uint32(size[:]))-4)
	return err
}
