package pgscript

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// A Login says who logs in and how. The zero Version is protocol 3.0.
type Login struct {
	User, Database, Password string
	Version                  uint32
	Params                   []string // further names and values of the StartupMessage
	EndPoint                 []byte   // what a log-in by SCRAM is bound to; nil: it is not
}

// A Session is what the server told at login.
type Session struct {
	Messages []Message // everything after the authentication, up to ReadyForQuery
	PID      uint32
	Secret   []byte
	Params   map[string]string // ParameterStatus
}

// Login logs in with whatever method the server asks for; any refusal fails the test.
func (c *Client) Login(l Login) Session {
	c.t.Helper()
	s, err := c.TryLogin(l)
	if err != nil {
		c.t.Fatalf("log in as %s: %v", l.User, err)
	}
	return s
}

// TryLogin is Login for a test that expects to be refused; an ErrorResponse is returned as a *Refusal.
func (c *Client) TryLogin(l Login) (Session, error) { return c.LogIn(l) }

// LogIn is TryLogin of a connection that is no test's.
func (c *Conn) LogIn(l Login) (Session, error) {
	version := l.Version
	if version == 0 {
		version = Version30
	}
	params := append([]string{"user", l.User, "database", l.Database}, l.Params...)
	if err := c.Send(Startup(version, params...)); err != nil {
		return Session{}, err
	}
	if err := c.authenticate(l); err != nil {
		return Session{}, err
	}
	return c.greeting()
}

// A Refusal is a login that the server refused.
type Refusal struct{ Message }

func (r *Refusal) Error() string { return r.Field('S') + " " + r.Field('C') + " " + r.Field('M') }

// authenticate answers requests until AuthenticationOk.
func (c *Conn) authenticate(l Login) error {
	scram := scramClient{password: l.Password, endPoint: l.EndPoint}
	for {
		m, err := c.Receive()
		if err != nil {
			return err
		}
		if m.Type == 'E' {
			return &Refusal{m}
		}
		if m.Type == 'v' || m.Type == 'N' {
			continue
		}
		if m.Type != 'R' || len(m.Body) < 4 {
			return fmt.Errorf("%q instead of an authentication request", m.Backend())
		}
		data := m.Body[4:]
		var answer []byte
		switch kind := binary.BigEndian.Uint32(m.Body); kind {
		case 0:
			return nil
		case 3:
			answer = Password(l.Password)
		case 5:
			answer = Password(MD5(l.User, l.Password, data))
		case 10:
			answer = SASLInitial(scram.mechanism(), scram.first())
		case 11:
			final, err := scram.final(string(data))
			if err != nil {
				return err
			}
			answer = SASLResponse(final)
		case 12:
			if err := scram.verify(string(data)); err != nil {
				return err
			}
			continue
		default:
			return fmt.Errorf("authentication request %d is unknown", kind)
		}
		if err := c.Send(answer); err != nil {
			return err
		}
	}
}

func (c *Conn) greeting() (Session, error) {
	s := Session{Params: map[string]string{}}
	for {
		m, err := c.Receive()
		if err != nil {
			return s, err
		}
		s.Messages = append(s.Messages, m)
		r := reader{b: m.Body}
		switch m.Type {
		case 'S':
			name := r.cstr()
			s.Params[name] = r.cstr()
		case 'K':
			s.PID, s.Secret = r.u32(), r.b
		case 'E':
			return s, &Refusal{m}
		case 'Z':
			return s, nil
		}
	}
}

// MD5 is the answer to an MD5 password request.
func MD5(user, password string, salt []byte) string {
	inner := md5.Sum([]byte(password + user))
	outer := md5.Sum(append([]byte(fmt.Sprintf("%x", inner)), salt...))
	return fmt.Sprintf("md5%x", outer)
}

// A scramClient is the client of one SCRAM-SHA-256 exchange (RFC 5802). Its nonce is fixed: it
// protects nobody, and a script is the same each time it is played.
type scramClient struct {
	password  string
	endPoint  []byte // nil: without channel binding
	signature []byte // what the server must prove
}

const scramBare = "n=,r=pgscript"

func (s *scramClient) mechanism() string {
	if s.endPoint != nil {
		return "SCRAM-SHA-256-PLUS"
	}
	return "SCRAM-SHA-256"
}

func (s *scramClient) header() string {
	if s.endPoint != nil {
		return "p=tls-server-end-point,,"
	}
	return "n,,"
}

func (s *scramClient) first() string { return s.header() + scramBare }

func (s *scramClient) final(serverFirst string) (string, error) {
	attr := map[string]string{}
	for _, part := range strings.Split(serverFirst, ",") {
		name, value, _ := strings.Cut(part, "=")
		attr[name] = value
	}
	salt, err := base64.StdEncoding.DecodeString(attr["s"])
	if err != nil {
		return "", fmt.Errorf("salt of %q: %w", serverFirst, err)
	}
	rounds, err := strconv.Atoi(attr["i"])
	if err != nil {
		return "", fmt.Errorf("iterations of %q: %w", serverFirst, err)
	}
	salted, err := pbkdf2.Key(sha256.New, s.password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	bare := "c=" + base64.StdEncoding.EncodeToString(append([]byte(s.header()), s.endPoint...)) + ",r=" + attr["r"]
	signed := scramBare + "," + serverFirst + "," + bare
	clientKey := mac(salted, "Client Key")
	storedKey := sha256.Sum256(clientKey)
	proof := mac(storedKey[:], signed)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	s.signature = mac(mac(salted, "Server Key"), signed)
	return bare + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func (s *scramClient) verify(serverFinal string) error {
	if want := "v=" + base64.StdEncoding.EncodeToString(s.signature); serverFinal != want {
		return fmt.Errorf("the server's proof is %q, want %q", serverFinal, want)
	}
	return nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
