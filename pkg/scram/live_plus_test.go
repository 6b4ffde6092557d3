package scram_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// startTLS starts a PostgreSQL with ssl = on and a certificate of the authority.
func startTLS(t *testing.T, ca *certs.Authority) *pgcluster.Server {
	t.Helper()
	c := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all all all scram-sha-256"}})
	pair := ca.Server("127.0.0.1")
	c.Primary.SpeakTLS(t, pair.Cert, pair.Key, nil)
	return c.Primary
}

// dialTLS connects as libpq does, and returns the end point that it sees.
func dialTLS(addr string, roots *x509.CertPool) (net.Conn, []byte, error) {
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	raw.SetDeadline(time.Now().Add(30 * time.Second))
	raw.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f})
	var answer [1]byte
	if _, err := io.ReadFull(raw, answer[:]); err != nil || answer[0] != 'S' {
		raw.Close()
		return nil, nil, fmt.Errorf("SSLRequest is answered by %q, %v", answer, err)
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, nil, err
	}
	return conn, endPointOf(conn.ConnectionState().PeerCertificates[0].Raw), nil
}

// endPointOf is the end point of a certificate whose signature is of SHA-256, as those of certs are.
func endPointOf(der []byte) []byte {
	sum := sha256.Sum256(der)
	return sum[:]
}

// verifier returns what PostgreSQL stores of a role's password.
func verifier(t *testing.T, server *pgcluster.Server, role string) scram.Keys {
	t.Helper()
	k, err := scram.ParseVerifier(server.Query(t, "select rolpassword from pg_authid where rolname = '"+role+"'")[0][0])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestPlus logs in to PostgreSQL over TLS, bound and not, and sees it refuse what the table of attacks refuses.
func TestPlus(t *testing.T) {
	t.Parallel()
	ca := certs.NewAuthority(t)
	server := startTLS(t, ca)
	server.CreateRole(t, "u", "sesame", "scram-sha-256")
	keys := verifier(t, server, "u")
	_, key := scram.Derive("sesame", keys.Salt, keys.Iterations)
	for _, tt := range []struct {
		name  string
		want  scram.ChannelBinding
		wrong bool // about the end point
		err   string
	}{
		{"required", scram.Require, false, ""},
		{"preferred", scram.Prefer, false, ""},
		{"disabled", scram.Disable, false, ""},
		{"another end point", scram.Require, true, "SCRAM channel binding check failed (SQLSTATE 28000)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, endPoint, err := dialTLS(server.Addr(), ca.Pool())
			if err != nil {
				t.Fatal(err)
			}
			if tt.wrong {
				endPoint[0] ^= 1
			}
			err = logIn(conn, endPoint, tt.want, "u", key, keys)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
		})
	}
	t.Run("required without TLS", func(t *testing.T) {
		conn, err := net.Dial("tcp", server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if err := logIn(conn, nil, scram.Require, "u", key, keys); !errors.Is(err, scram.ErrUnsupported) {
			t.Errorf("got %v, want %v", err, scram.ErrUnsupported)
		}
	})
	t.Run("offer", func(t *testing.T) {
		conn, endPoint, err := dialTLS(server.Addr(), ca.Pool())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if offer, err := start(conn, "u"); err != nil || !bytes.Equal(offer, scram.Offer(endPoint)) {
			t.Errorf("PostgreSQL offers %q, %v; we offer %q", offer, err, scram.Offer(endPoint))
		}
	})
	t.Run("refusals", func(t *testing.T) { refusals(t, server, ca, keys) })
}

// refusals says the same wrong things to PostgreSQL and to Server, which must refuse them in the same step under the same
// SQLSTATE, and with the same words where words is set.
func refusals(t *testing.T, server *pgcluster.Server, ca *certs.Authority, keys scram.Keys) {
	const bound = "p=tls-server-end-point,,"
	b64 := base64.StdEncoding.EncodeToString
	for _, tt := range []struct {
		name      string
		tls       bool
		mechanism string
		header    string
		binding   func(endPoint []byte) string // nil: the first message is what is refused
		words     bool
	}{
		{"y over TLS", true, scram.Mechanism, "y,,", nil, true},
		{"y, bound", true, scram.MechanismPlus, "y,,", nil, true},
		{"n, bound", true, scram.MechanismPlus, "n,,", nil, true},
		{"p, not bound", true, scram.Mechanism, bound, nil, true},
		{"p without TLS", false, scram.Mechanism, bound, nil, true},
		{"p without a type", true, scram.MechanismPlus, "p,,", nil, false},
		{"another type", true, scram.MechanismPlus, "p=tls-unique,,", nil, true},
		{"a long type", true, scram.MechanismPlus, "p=" + strings.Repeat("tls-", 12) + ",,", nil, true},
		{"no type", true, scram.MechanismPlus, "p=,,", nil, true},
		{"another flag", true, scram.MechanismPlus, "P=tls-server-end-point,,", nil, false},
		{"another user", true, scram.MechanismPlus, "p=tls-server-end-point,a=boss,", nil, false},
		{"another user in short", false, scram.Mechanism, "n,a,", nil, false},
		{"one comma", true, scram.MechanismPlus, "p=tls-server-end-point,", nil, false},
		{"the better mechanism without TLS", false, scram.MechanismPlus, bound, nil, true},
		{"an unknown mechanism", true, "SCRAM-SHA-1", "n,,", nil, true},
		{"n for p at the end", true, scram.MechanismPlus, bound, func([]byte) string { return "biws" }, true},
		{"no end point at the end", true, scram.MechanismPlus, bound, func([]byte) string { return b64([]byte(bound)) }, true},
		{"half the end point", true, scram.MechanismPlus, bound, func(ep []byte) string { return b64([]byte(bound + string(ep[:16]))) }, true},
		{"p for n at the end", true, scram.Mechanism, "n,,", func(ep []byte) string { return b64([]byte(bound + string(ep))) }, true},
		{"y for n at the end", false, scram.Mechanism, "n,,", func([]byte) string { return "eSws" }, true},
		{"n for y at the end", false, scram.Mechanism, "y,,", func([]byte) string { return "biws" }, true},
		{"all right but the proof", true, scram.MechanismPlus, bound, func(ep []byte) string { return b64([]byte(bound + string(ep))) }, false},
		{"all right but the proof, not bound", true, scram.Mechanism, "n,,", func([]byte) string { return "biws" }, false},
		{"all right but the proof, without TLS", false, scram.Mechanism, "y,,", func([]byte) string { return "eSws" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := []byte(tt.header + "n=,r=abcdefgh")
			final := func(endPoint, challenge []byte) []byte {
				nonce, _, _ := strings.Cut(string(challenge), ",")
				return []byte("c=" + tt.binding(endPoint) + "," + nonce + ",p=" + b64(make([]byte, 32)))
			}

			var conn net.Conn
			var endPoint []byte
			var err error
			if tt.tls {
				conn, endPoint, err = dialTLS(server.Addr(), ca.Pool())
			} else {
				conn, err = net.Dial("tcp", server.Addr())
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := start(conn, "u"); err != nil {
				t.Fatal(err)
			}
			conn.Write(initial(tt.mechanism, first))
			challenge, theirs := request(conn, pgwire.AuthSASLContinue)
			if theirs == nil && tt.binding != nil {
				conn.Write(pgwire.Append(nil, pgwire.Password, final(endPoint, challenge)))
				_, theirs = request(conn, pgwire.AuthSASLFinal)
			}

			s := scram.NewServer(keys, rand.Reader)
			ours := s.Select(tt.mechanism, endPoint)
			if ours == nil {
				challenge, ours = s.First(first)
			}
			if ours == nil && tt.binding != nil {
				_, _, ours = s.Final(final(endPoint, challenge))
			}

			var se *pgwire.ServerError
			if !errors.As(theirs, &se) || ours == nil {
				t.Fatalf("PostgreSQL: %v; ours: %v", theirs, ours)
			}
			t.Logf("PostgreSQL: %v: %s; ours: %v", se, detail(se), ours)
			if state := sqlstate(ours); state != se.SQLState {
				t.Errorf("SQLSTATE is %s, PostgreSQL says %s", state, se.SQLState)
			}
			if tt.words && (!strings.Contains(ours.Error(), se.Message) || !strings.Contains(ours.Error(), detail(se))) {
				t.Errorf("%q does not say %q, %q", ours, se.Message, detail(se))
			}
		})
	}
}

// sqlstate is the SQLSTATE that stands with the errors of Server.
func sqlstate(err error) string {
	for target, state := range map[error]string{
		scram.ErrFailed: "28P01", scram.ErrMalformed: "08P01", scram.ErrUnsupported: "0A000", scram.ErrNegotiation: "28000", scram.ErrBinding: "28000",
	} {
		if errors.Is(err, target) {
			return state
		}
	}
	return ""
}

// detail returns the first sentence of an error's detail, in the spelling of Go's errors.
func detail(se *pgwire.ServerError) string {
	for field := range bytes.SplitSeq(se.Body, []byte{0}) {
		if len(field) > 1 && field[0] == 'D' {
			sentence, _, _ := strings.Cut(string(field[1:]), ".")
			return strings.ToLower(sentence[:1]) + sentence[1:]
		}
	}
	return ""
}

// TestLibpqPlus lets psql log in over TLS: libpq says whether it binds and what it thinks of the offer.
func TestLibpqPlus(t *testing.T) {
	t.Parallel()
	cert := certs.NewAuthority(t).Server("127.0.0.1").TLS(t)
	endPoint := endPointOf(cert.Certificate[0])
	other := slices.Clone(endPoint)
	other[0] ^= 1
	keys, _ := scram.NewKeys("sesame")
	for _, tt := range []struct {
		name, conninfo string
		door           door
		password, want string
	}{
		{"required", "channel_binding=require", door{endPoint: endPoint}, "sesame", "you are in"},
		{"preferred", "channel_binding=prefer", door{endPoint: endPoint}, "sesame", "you are in"},
		{"disabled", "channel_binding=disable", door{endPoint: endPoint}, "sesame", "you are in"},
		{"not offered", "channel_binding=prefer", door{}, "sesame", "you are in"},
		{"wrong", "channel_binding=require", door{endPoint: endPoint}, "Sesame", "no entry"},
		{"not offered, required", "channel_binding=require", door{}, "sesame", "channel binding is required"},
		{"another certificate", "channel_binding=require", door{endPoint: other}, "sesame", "SCRAM channel binding check failed"},
		{"offer changed", "channel_binding=prefer", door{endPoint: endPoint, offer: scram.Offer(nil)}, "sesame", "SCRAM channel binding negotiation error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.door.keys, tt.door.cert = keys, &cert
			out, _, served := psql(t, tt.door, tt.password, "sslmode=require "+tt.conninfo)
			if !strings.Contains(out, tt.want) {
				t.Errorf("psql says %q, want %q; server: %v", out, tt.want, served)
			}
		})
	}
}

// TestPassThrough lets psql log in at a door that has only the verifier, and the door, with what it learnt of that, at the
// PostgreSQL that stores the same verifier: with and without TLS and channel binding on either side.
func TestPassThrough(t *testing.T) {
	t.Parallel()
	ca := certs.NewAuthority(t)
	server := startTLS(t, ca)
	server.CreateRole(t, "u", "caf\u00e9", "scram-sha-256")
	keys := verifier(t, server, "u")
	cert := ca.Server("127.0.0.1").TLS(t)
	doors := map[string]struct {
		door     door
		conninfo string
	}{
		"psql without TLS": {door{keys: keys}, "sslmode=disable"},
		"psql bound":       {door{keys: keys, cert: &cert, endPoint: endPointOf(cert.Certificate[0])}, "sslmode=require channel_binding=require"},
	}
	servers := map[string]func(scram.ClientKey) error{
		"PostgreSQL without TLS": func(key scram.ClientKey) error { return login(server.Addr(), "u", key, keys) },
		"PostgreSQL bound": func(key scram.ClientKey) error {
			conn, endPoint, err := dialTLS(server.Addr(), ca.Pool())
			if err != nil {
				return err
			}
			return logIn(conn, endPoint, scram.Require, "u", key, keys)
		},
	}
	var learnt scram.ClientKey
	for front, d := range doors {
		t.Run(front, func(t *testing.T) {
			out, key, err := psql(t, d.door, "cafe\u0301", d.conninfo)
			if err != nil || !strings.Contains(out, "you are in") {
				t.Fatalf("psql says %q; server: %v", out, err)
			}
			learnt = key
			for back, enter := range servers {
				if err := enter(key); err != nil {
					t.Errorf("%s: %v", back, err)
				}
			}
		})
	}

	server.Exec(t, "alter role u password 'caf\u00e9'") // the same one, under another salt
	for back, enter := range servers {
		if err := enter(learnt); !errors.Is(err, scram.ErrOtherVerifier) {
			t.Errorf("%s, another verifier: %v, want %v", back, err, scram.ErrOtherVerifier)
		}
	}
}
