package auth

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// request is the body of an authentication request behind its code.
func request(t *testing.T, reply []byte, code byte) []byte {
	t.Helper()
	if len(reply) < 9 || reply[0] != 'R' || !bytes.Equal(reply[5:9], []byte{0, 0, 0, code}) {
		t.Fatalf("%q is not a request %d", reply, code)
	}
	return reply[9:]
}

// work does what a step wants done outside the loop.
func work(x *Exchange, s Step) Step {
	for s.Work != nil {
		s.Work()
		s = x.Resume()
	}
	return s
}

// begin begins the exchange of a client whose user is u, nil for nobody.
func begin(m Method, name string, u *users.User) (*Exchange, Step) {
	x, s := Begin(&Door{Method: m}, &Client{User: name, Local: true}, "mock")
	if s.Who {
		s = x.Knows(u)
	}
	return x, s
}

// outcome says how an exchange has ended.
func outcome(s Step) string {
	switch {
	case s.Err != nil:
		return s.Err.SQLState
	case s.Done:
		return "in"
	}
	return "more"
}

// secrets of user ann with password secret.
func secrets() map[string]string {
	keys, _ := scram.NewKeys("secret")
	return map[string]string{"password": "secret", "md5": "md59d792a3a8853c2411afb9163d088c036", "verifier": keys.String(), "nothing": ""}
}

func user(t *testing.T, secret string) *users.User {
	t.Helper()
	u, err := users.New("ann", secret)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestProofs lets clients prove who they are in each way, against each form of secret.
func TestProofs(t *testing.T) {
	proofs := map[Method]func(t *testing.T, x *Exchange, first Step, password string) Step{
		Password: func(t *testing.T, x *Exchange, first Step, password string) Step {
			request(t, first.Reply, 3)
			return work(x, x.Step(pgscript.Password(password)[5:]))
		},
		MD5: func(t *testing.T, x *Exchange, first Step, password string) Step {
			if x.rule.method == SCRAM { // the secret is a verifier
				return prove(t, x, first, password)
			}
			salt := request(t, first.Reply, 5)
			return work(x, x.Step(pgscript.Password(pgscript.MD5("ann", password, salt))[5:]))
		},
		SCRAM: prove,
	}
	const in, out = "in", "28P01"
	for _, c := range []struct {
		method Method
		secret string
		want   string // for the right password
	}{
		{Password, "password", in},
		{Password, "md5", in},
		{Password, "verifier", in},
		{Password, "nothing", out},
		{Password, "nobody", out},
		{MD5, "password", in},
		{MD5, "md5", in},
		{MD5, "verifier", in},
		{MD5, "nothing", out},
		{MD5, "nobody", out},
		{SCRAM, "password", in},
		{SCRAM, "verifier", in},
		{SCRAM, "md5", out},
		{SCRAM, "nothing", out},
		{SCRAM, "nobody", out},
	} {
		for _, password := range []string{"secret", "Secret", ""} {
			want := out
			if password == "secret" {
				want = c.want
			}
			t.Run(fmt.Sprintf("%d/%s/%q", c.method, c.secret, password), func(t *testing.T) {
				var u *users.User
				if c.secret != "nobody" {
					u = user(t, secrets()[c.secret])
				}
				x, first := begin(c.method, "ann", u)
				if first.Done || first.Err != nil {
					t.Fatalf("it begins with %s", outcome(first))
				}
				if got := outcome(proofs[c.method](t, x, first, password)); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			})
		}
	}
}

// prove is the client of a SCRAM exchange.
func prove(t *testing.T, x *Exchange, first Step, password string) Step {
	t.Helper()
	if got := request(t, first.Reply, 10); string(got) != scram.Mechanism+"\x00\x00" {
		t.Fatalf("mechanisms are %q", got)
	}
	c, err := scram.NewClient(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := work(x, x.Step(pgscript.SASLInitial(scram.Mechanism, string(c.First()))[5:]))
	salt, n, err := c.Salt(request(t, s.Reply, 11))
	if err != nil {
		t.Fatal(err)
	}
	keys, key := scram.Derive(password, bytes.Clone(salt), n)
	s = work(x, x.Step(pgscript.SASLResponse(string(c.Final(key, keys.ServerKey)))[5:]))
	if s.Done {
		if err := c.Verify(request(t, s.Reply, 12)); err != nil {
			t.Errorf("the client does not believe the proxy: %v", err)
		}
	}
	return s
}

// TestLateFirst names a mechanism, says nothing with it, and begins when it is asked to.
func TestLateFirst(t *testing.T) {
	x, _ := begin(SCRAM, "ann", user(t, "secret"))
	s := work(x, x.Step(append([]byte(scram.Mechanism), 0, 0xff, 0xff, 0xff, 0xff)))
	if got := request(t, s.Reply, 11); len(got) > 0 {
		t.Errorf("asked with %q", got)
	}
	if s = work(x, x.Step([]byte("n,,n=,r=abc"))); !bytes.HasPrefix(request(t, s.Reply, 11), []byte("r=abc")) {
		t.Errorf("challenged with %q", s.Reply)
	}
}

// TestUnknownMD5 asks who is not there as those who are: by SCRAM, unless they have hashes alone.
func TestUnknownMD5(t *testing.T) {
	for hashes, want := range map[bool]byte{false: 10, true: 5} {
		x, s := Begin(&Door{Method: MD5, Hashes: hashes}, &Client{User: "nobody"}, "mock")
		if s.Who {
			s = x.Knows(nil)
		}
		request(t, s.Reply, want)
	}
}

// TestMalformed sends what is no proof at all.
func TestMalformed(t *testing.T) {
	initial := pgscript.SASLInitial(scram.Mechanism, "n,,n=,r=abc")[5:]
	for _, c := range []struct {
		name   string
		method Method
		bodies [][]byte
		want   string
	}{
		{"a password without an end", Password, [][]byte{[]byte("secret")}, "08P01"},
		{"a password with more behind it", Password, [][]byte{[]byte("secret\x00x")}, "08P01"},
		{"nothing", Password, [][]byte{nil}, "08P01"},
		{"md5 without an end", MD5, [][]byte{[]byte("md5")}, "28P01"},
		{"another mechanism", SCRAM, [][]byte{pgscript.SASLInitial("SCRAM-SHA-256-PLUS", "p=x,,n=,r=abc")[5:]}, "08P01"},
		{"no mechanism", SCRAM, [][]byte{{1}}, "08P01"},
		{"a length that is not right", SCRAM, [][]byte{append(bytes.Clone(initial), 'x')}, "08P01"},
		{"nothing to begin with", SCRAM, [][]byte{append([]byte(scram.Mechanism), 0, 0xff, 0xff, 0xff, 0xff)}, "more"}, // an empty challenge comes (RFC 4422, 3.4)
		{"nothing, and more behind it", SCRAM, [][]byte{append([]byte(scram.Mechanism), 0, 0xff, 0xff, 0xff, 0xff, 'x')}, "08P01"},
		{"nothing, and then no first message", SCRAM, [][]byte{append([]byte(scram.Mechanism), 0, 0xff, 0xff, 0xff, 0xff), []byte("hello")}, "08P01"},
		{"nothing, and then for somebody else", SCRAM, [][]byte{append([]byte(scram.Mechanism), 0, 0xff, 0xff, 0xff, 0xff), []byte("n,a=eve,n=,r=abc")}, "0A000"},
		{"a length of less", SCRAM, [][]byte{append([]byte(scram.Mechanism), 0, 0xff, 0xff, 0xff, 0xfe)}, "08P01"},
		{"a first message that is none", SCRAM, [][]byte{pgscript.SASLInitial(scram.Mechanism, "hello")[5:]}, "08P01"},
		{"for somebody else", SCRAM, [][]byte{pgscript.SASLInitial(scram.Mechanism, "n,a=eve,n=,r=abc")[5:]}, "0A000"},
		{"a proof that is none", SCRAM, [][]byte{initial, []byte("c=biws,r=abc,p=x")}, "08P01"},
		{"the first message twice", SCRAM, [][]byte{initial, initial}, "08P01"},
	} {
		x, s := begin(c.method, "ann", user(t, "secret"))
		for _, b := range c.bodies {
			s = work(x, x.Step(b))
		}
		if got := outcome(s); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestBinding binds log-ins to the TLS connection: with PLUS, which may be demanded, and never without what it binds to.
func TestBinding(t *testing.T) {
	end := []byte("the hash of a certificate")
	for _, c := range []struct {
		name      string
		method    Method
		here      []byte // what the client's connection ends at
		there     []byte // what the client sees
		want      scram.ChannelBinding
		offer     string
		mechanism string
		outcome   string
	}{
		{"bound", SCRAM, end, end, scram.Prefer, "SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00", scram.MechanismPlus, "in"},
		{"not bound", SCRAM, end, end, scram.Disable, "SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00", scram.Mechanism, "in"},
		{"PLUS alone", SCRAMPlus, end, end, scram.Prefer, "SCRAM-SHA-256-PLUS\x00\x00", scram.MechanismPlus, "in"},
		{"somebody in the middle", SCRAM, end, []byte("another"), scram.Require, "SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00", scram.MechanismPlus, "28000"},
		{"PLUS without TLS", SCRAMPlus, nil, nil, scram.Prefer, "", "", "28000"},
	} {
		x, s := Begin(&Door{Method: c.method}, &Client{User: "ann", TLS: c.here != nil, EndPoint: c.here}, "mock")
		if s = x.Knows(user(t, secrets()["verifier"])); c.offer == "" {
			if got := outcome(s); got != c.outcome {
				t.Errorf("%s: %s, want %s", c.name, got, c.outcome)
			}
			continue
		}
		offer := request(t, s.Reply, 10)
		if string(offer) != c.offer {
			t.Errorf("%s: %q is offered, want %q", c.name, offer, c.offer)
		}
		cl, err := scram.NewClient(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		mechanism, err := cl.Select(offer, c.there, c.want)
		if err != nil || mechanism != c.mechanism {
			t.Errorf("%s: the client chooses %q, %v; want %q", c.name, mechanism, err, c.mechanism)
		}
		s = work(x, x.Step(pgscript.SASLInitial(mechanism, string(cl.First()))[5:]))
		salt, n, err := cl.Salt(request(t, s.Reply, 11))
		if err != nil {
			t.Fatal(err)
		}
		keys, key := scram.Derive("secret", bytes.Clone(salt), n)
		if got := outcome(work(x, x.Step(pgscript.SASLResponse(string(cl.Final(key, keys.ServerKey)))[5:]))); got != c.outcome {
			t.Errorf("%s: %s, want %s", c.name, got, c.outcome)
		}
		if x.Key != key && c.outcome == "in" {
			t.Errorf("%s: the key that was proved is not known", c.name)
		}
	}
	x, _ := Begin(&Door{Method: SCRAMPlus}, &Client{User: "ann", TLS: true, EndPoint: end}, "mock")
	x.Knows(user(t, secrets()["verifier"]))
	if got := outcome(x.Step(pgscript.SASLInitial(scram.Mechanism, "y,,n=,r=abc")[5:])); got != "08P01" {
		t.Errorf("a mechanism that was not offered is taken: %s", got)
	}
}

// TestAlmostVerifier takes a secret that only looks like a verifier for a password, as PostgreSQL does.
func TestAlmostVerifier(t *testing.T) {
	if u, err := users.New("ann", "SCRAM-SHA-256$not one"); err != nil || u.HasVerifier() {
		t.Errorf("it is taken for a verifier, or refused: %v", err)
	}
}

// TestDenied tells a client in PostgreSQL's words that it is not let in.
func TestDenied(t *testing.T) {
	x, _ := begin(Password, "ann", user(t, "secret"))
	s := work(x, x.Step([]byte("wrong\x00")))
	var e *pgerr.Error
	if !errors.As(error(s.Err), &e) || e.Message != `password authentication failed for user "ann"` {
		t.Errorf("the client is told %v", s.Err)
	}
}

// TestKeysAreSharedByThreads makes the keys of one user from many threads: who comes first makes them for all.
func TestKeysAreSharedByThreads(t *testing.T) {
	u := user(t, "secret")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			x, s := begin(SCRAM, "ann", u)
			if got := outcome(prove(t, x, s, "secret")); got != "in" {
				t.Error(got)
			}
		})
	}
	wg.Wait()
	if x, _ := begin(SCRAM, "ann", u); x.Step(pgscript.SASLInitial(scram.Mechanism, "n,,n=,r=abc")[5:]).Work != nil {
		t.Error("the keys are made again")
	}
}
