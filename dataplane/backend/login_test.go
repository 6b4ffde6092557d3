package backend

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestLogIn answers what servers ask, and says what is in the way in words.
func TestLogIn(t *testing.T) {
	const md5Hash = "md553f48b7c4b76a86ce72276c5755f217d"
	rest := pgscript.Greeting(77, []byte("1234"))
	salt := []byte{1, 2, 3, 4}
	for _, c := range []struct {
		name, secret string
		asks         []byte
		answer       string
		then         []byte
		state, words string // of the failure
	}{
		{name: "trust", then: rest},
		{name: "password", secret: "secret", asks: pgscript.Auth(3), answer: string(pgscript.Password("secret")), then: rest},
		{name: "password that is not there", asks: pgscript.Auth(3), state: "28P01", words: "set server_password for ann"},
		{name: "password of which only a hash is there", secret: md5Hash, asks: pgscript.Auth(3), state: "28P01"},
		{name: "md5", secret: "secret", asks: pgscript.Auth(5, salt), answer: string(pgscript.Password(pgscript.MD5("u", "secret", salt))), then: rest},
		{name: "md5 with a hash", secret: md5Hash, asks: pgscript.Auth(5, salt), answer: string(pgscript.Password("md5bb41a296aab6baccb36ff243a562abff")), then: rest},
		{name: "md5 that is not there", asks: pgscript.Auth(5, salt), state: "28P01"},
		{name: "SCRAM that is not there", asks: pgscript.AuthSASL(scram.Mechanism), state: "28P01"},
		{name: "SCRAM of which only a hash is there", secret: md5Hash, asks: pgscript.AuthSASL(scram.Mechanism), state: "28P01"},
		{name: "another mechanism", secret: "secret", asks: pgscript.AuthSASL("OAUTHBEARER"), state: "28000", words: "no SASL mechanism"},
		{name: "SASL from the middle", secret: "secret", asks: pgscript.Auth(11, []byte("r=x,s=eA==,i=1")), state: "28000"},
		{name: "SASL from the end", secret: "secret", asks: pgscript.Auth(12, []byte("v=x")), state: "28000"},
		{name: "GSSAPI", secret: "secret", asks: pgscript.Auth(7), state: "28000", words: "method 7"},
		{name: "half a request", asks: pgscript.Frame('R', []byte{0}), state: "28000"},
		{name: "half a key", asks: join(pgscript.Auth(0), pgscript.Frame('K', []byte{0, 0, 0, 1})), state: "08001"},
		{name: "a row", asks: pgscript.DataRow("x"), state: "08001", words: "unexpected message"},
		{name: "a refusal", asks: pgscript.ErrorResponse("FATAL", "3D000", "no such database"), state: "3D000", words: "no such database"},
		{name: "a refusal afterwards", secret: "wrong", asks: pgscript.Auth(3), answer: string(pgscript.Password("wrong")), then: pgscript.ErrorResponse("FATAL", "28P01", "wrong"), state: "28P01"},
		{name: "garbage", asks: []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), state: "08001"},
		{name: "a length that no message has", asks: []byte{'R', 0, 0, 0, 0}, state: "08001"},
	} {
		s := newStage(t)
		s.begin(NewSecret("ann", c.secret))
		s.feed(c.asks)
		s.check(c.name+": answer", s.sent(), c.answer)
		s.feed(c.then)
		if c.state == "" {
			s.check(c.name, s.news(), "opened")
			continue
		}
		s.check(c.name, s.news(), "failed")
		if state(s.failed) != c.state || !strings.Contains(s.failed.Error(), c.words) {
			t.Errorf("%s: %v, want %s with %q", c.name, s.failed, c.state, c.words)
		}
		if !s.dialed[0].Closed() {
			t.Errorf("%s: the connection is left open", c.name)
		}
	}
}

// TestNoAnswer lets a server end the connection, and another one say nothing.
func TestNoAnswer(t *testing.T) {
	s := newStage(t)
	s.begin(NewSecret("u", ""))
	s.dialed[0].End()
	s.step()
	s.check("an end", s.news(), "failed")
	s.check("an end", state(s.failed), "08001")
	s = newStage(t)
	c := s.begin(NewSecret("u", ""))
	c.SetDeadline(s.loop.Now())
	s.step()
	s.check("silence", s.news(), "failed")
	if !strings.Contains(s.failed.Error(), "no answer within 1m0s") {
		t.Error(s.failed)
	}
}

// TestSCRAM logs in by SCRAM: with the right password, a second time with the keys that are remembered, and with
// servers that do not know the verifier.
func TestSCRAM(t *testing.T) {
	keys, _ := scram.Derive("secret", []byte("0123456789abcdef"), 4096)
	secret := NewSecret("u", "secret")
	for _, c := range []struct {
		name   string
		secret *Secret
		keys   scram.Keys
		soon   bool // without a goroutine
		lies   bool // about the server's signature
		skips  bool // says that all is well instead of proving that it knows the verifier
		want   string
	}{
		{name: "first", secret: secret, keys: keys, want: "opened"},
		{name: "second", secret: secret, keys: keys, soon: true, want: "opened"},
		{name: "another verifier", secret: secret, keys: scram.MockKeys("x", "u"), want: "failed"},
		{name: "another password", secret: NewSecret("u", "wrong"), keys: keys, want: "failed"},
		{name: "a server that knows nothing", secret: secret, keys: keys, lies: true, want: "failed"},
		{name: "a server that proves nothing", secret: secret, keys: keys, skips: true, want: "failed"},
	} {
		s := newStage(t)
		s.begin(c.secret)
		s.feed(pgscript.AuthSASL(scram.Mechanism))
		first := []byte(s.sent())
		head := append([]byte(scram.Mechanism), 0)
		i := bytes.Index(first, head) + len(head) + 4
		if i < 9 || int(binary.BigEndian.Uint32(first[i-4:i])) != len(first)-i {
			t.Fatalf("%s: begins with %q", c.name, first)
		}
		srv := scram.NewServer(c.keys, rand.Reader)
		challenge, err := srv.First(first[i:])
		if err != nil {
			t.Fatal(err)
		}
		s.feed(pgscript.Auth(11, challenge))
		for !c.soon && len(s.dialed[0].Sent) == 0 {
			s.loop.Step() // a goroutine makes the keys
		}
		proof := []byte(s.sent())
		if len(proof) < 5 {
			t.Fatalf("%s: no proof comes", c.name)
		}
		final, _, err := srv.Final(proof[5:])
		switch {
		case err != nil:
			s.feed(pgscript.ErrorResponse("FATAL", "28P01", err.Error()))
		case c.lies:
			s.feed(pgscript.Auth(12, []byte("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")), pgscript.Greeting(1, []byte("1234")))
		case c.skips:
			s.feed(pgscript.Greeting(1, []byte("1234")))
		default:
			s.feed(pgscript.Auth(12, final), pgscript.Greeting(1, []byte("1234")))
		}
		s.check(c.name, s.news(), c.want)
	}
}

func join(msgs ...[]byte) []byte { return bytes.Join(msgs, nil) }

// TestPanicked gives a connection up whose task has panicked, and tells its owner once.
func TestPanicked(t *testing.T) {
	s := newStage(t)
	s.begin(nil)
	s.feed(pgscript.Frame(pgwire.Authentication, []byte{0, 0, 0, 3})) // asks for the password that there is none of
	s.check("while it is opened", s.news(), "failed")
	if !errors.Is(s.failed, errPanicked) || !s.dialed[0].Closed() {
		t.Errorf("failed with %v, closed %v", s.failed, s.dialed[0].Closed())
	}

	s = newStage(t)
	c := s.open()
	c.owner = panics{s}
	s.feed(pgscript.ParameterStatus("TimeZone", "UTC"))
	s.check("while it is free", s.news(), "lost closed")
}

// panics is an owner that hears of a parameter.
type panics struct{ *stage }

func (panics) Changed(*Conn) { panic("planted") }
