package scram

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
)

// firstFault, finalFault and selectFault state what must hold of any bytes, so that a planted fault can be shown to break it.

// doors are the servers that a client may find: without TLS, over TLS, over TLS with channel binding chosen.
func doors(t testing.TB, k Keys) map[string]*Server {
	t.Helper()
	servers := map[string]*Server{Mechanism: NewServer(k, rand.Reader)}
	for _, mechanism := range []string{Mechanism, MechanismPlus} {
		s := NewServer(k, rand.Reader)
		if err := s.Select(mechanism, testEndPoint()); err != nil {
			t.Fatal(err)
		}
		servers["TLS, "+mechanism] = s
	}
	return servers
}

func firstFault(s *Server, message []byte, step func(*Server, []byte) ([]byte, error)) string {
	challenge, err := step(s, message)
	switch {
	case err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrNegotiation):
		return "an error of no kind: " + err.Error()
	case err != nil && s.nonce != "":
		return "refused, and yet a nonce stands"
	case err != nil:
		return ""
	case len(message) > MaxMessage:
		return "accepted, though too long"
	case !strings.HasPrefix(string(challenge), "r="+s.nonce+","):
		return "challenge without the nonce"
	case s.endPoint != nil != strings.HasPrefix(string(message), headerBound):
		return "bound without the mechanism for it, or the other way round"
	case s.offered && message[0] == 'y':
		return "a client that was shown another offer is not found out"
	}
	// A client whose message this was goes on from here to the end.
	keys, clientKey := Derive("sesame", []byte("salt"), 1)
	s.keys = keys
	bare := strings.TrimPrefix(string(message), s.header)
	_, nonce, _ := strings.Cut(bare, ",r=")
	nonce, _, _ = strings.Cut(nonce, ",")
	c := &Client{header: s.header, endPoint: s.endPoint, nonce: nonce, firstBare: bare}
	if _, _, err := c.Salt(challenge); err != nil {
		return "the client refuses the challenge: " + err.Error()
	}
	if final := c.Final(clientKey, keys.ServerKey); len(final) <= MaxMessage {
		if _, _, err := s.Final(final); err != nil {
			return "the right password is refused: " + err.Error()
		}
	}
	return ""
}

// finalFault gives a message to a server to which only genuine, and genuine with a comma behind it, proves the password.
func finalFault(s *Server, genuine string, message []byte) string {
	answer, key, err := s.Final(message)
	switch {
	case err == nil && strings.TrimSuffix(string(message), ",") != genuine:
		return "a message that nobody with the password made is accepted"
	case err == nil:
		return ""
	case answer != nil || key != (ClientKey{}):
		return "refused, and yet an answer"
	case !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrFailed) && !errors.Is(err, ErrBinding):
		return "an error of no kind: " + err.Error()
	}
	return ""
}

// boundVector returns a Server that has sent the challenge of the vector under channel binding, and the message that it waits for.
func boundVector(t testing.TB, k Keys, clientKey ClientKey) (*Server, string) {
	t.Helper()
	s := vectorServer(t, k)
	s.header, s.offered, s.endPoint = headerBound, true, testEndPoint()
	c := vectorClient()
	c.header, c.endPoint = headerBound, testEndPoint()
	if _, _, err := c.Salt([]byte(vector.serverFirst)); err != nil {
		t.Fatal(err)
	}
	return s, string(c.Final(clientKey, k.ServerKey))
}

func FuzzServerFirst(f *testing.F) {
	for _, seed := range []string{
		vector.clientFirst, "y,,n=,r=abc,x=1", "p=x,,n=,r=a", "n,a=b,n=,r=a", "n,,m=,n=,r=a", headerBound + "n=,r=abc", "p=tls-unique,,n=,r=abc",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		for name, s := range doors(t, MockKeys("secret", "user")) {
			if fault := firstFault(s, message, (*Server).First); fault != "" {
				t.Errorf("%s: %q: %s", name, message, fault)
			}
		}
	})
}

func FuzzServerFinal(f *testing.F) {
	keys, clientKey := vectorKeys(f)
	_, bound := boundVector(f, keys, clientKey)
	f.Add([]byte(vector.clientFinal))
	f.Add([]byte(strings.Replace(vector.clientFinal, ",p=", ",x=1,p=", 1)))
	f.Add([]byte(bound))
	f.Fuzz(func(t *testing.T, message []byte) {
		if fault := finalFault(vectorServer(t, keys), vector.clientFinal, message); fault != "" {
			t.Errorf("%q: %s", message, fault)
		}
		s, genuine := boundVector(t, keys, clientKey)
		if fault := finalFault(s, genuine, message); fault != "" {
			t.Errorf("%s: %q: %s", MechanismPlus, message, fault)
		}
	})
}

// selectFault lets a client choose from an offer.
func selectFault(offer []byte, endPoint []byte, want ChannelBinding, choose func(*Client, []byte, []byte, ChannelBinding) (string, error)) string {
	c := vectorClient()
	mechanism, err := choose(c, offer, endPoint, want)
	switch {
	case err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrNegotiation):
		return "an error of no kind: " + err.Error()
	case err != nil && (mechanism != "" || c.header != headerNone || c.endPoint != nil):
		return "refused, and yet chosen"
	case err != nil:
		return ""
	case !strings.Contains("\x00"+string(offer), "\x00"+mechanism+"\x00"):
		return "chosen what is not offered"
	case want == Require && mechanism != MechanismPlus, want == Disable && mechanism != Mechanism:
		return "chosen what is not wanted"
	}
	if len(c.endPoint) > 0 != (mechanism == MechanismPlus) || strings.HasPrefix(string(c.First()), headerBound) != (mechanism == MechanismPlus) {
		return "bound without the mechanism for it, or the other way round"
	}
	return ""
}

func FuzzClientSelect(f *testing.F) {
	f.Add(Offer(nil), uint8(Prefer))
	f.Add(Offer(testEndPoint()), uint8(Require))
	f.Add([]byte("X\x00"+MechanismPlus), uint8(Disable))
	f.Fuzz(func(t *testing.T, offer []byte, want uint8) {
		for _, endPoint := range [][]byte{nil, testEndPoint()} {
			if fault := selectFault(offer, endPoint, ChannelBinding(want%3), (*Client).Select); fault != "" {
				t.Errorf("%q, %x, %d: %s", offer, endPoint, want%3, fault)
			}
		}
	})
}

func FuzzClient(f *testing.F) {
	keys, clientKey := vectorKeys(f)
	f.Add([]byte(vector.serverFirst), []byte(vector.serverFinal))
	f.Add([]byte("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1"), []byte("e=other-error"))
	f.Fuzz(func(t *testing.T, first, final []byte) {
		c := vectorClient()
		salt, iterations, err := c.Salt(first)
		if err != nil {
			return
		}
		if len(salt) == 0 || iterations < 1 || iterations > MaxIterations {
			t.Errorf("%q gives salt %x and %d iterations", first, salt, iterations)
		}
		c.Final(clientKey, keys.ServerKey)
		if err := c.Verify(final); err == nil && (string(first) != vector.serverFirst || string(final) != vector.serverFinal) {
			t.Errorf("the client believes %q, %q", first, final)
		}
	})
}

func FuzzParseVerifier(f *testing.F) {
	keys, _ := vectorKeys(f)
	f.Add(keys.String())
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseVerifier(text)
		if err != nil {
			return
		}
		if again, err := ParseVerifier(k.String()); err != nil || again.String() != k.String() {
			t.Errorf("%q reads as %s, that as %s, %v", text, k, again, err)
		}
	})
}

// TestPlantedFaults shows that the fuzz targets would notice decoders that are wrong.
func TestPlantedFaults(t *testing.T) {
	lax := func(s *Server, message []byte) ([]byte, error) { // forgets to look at the nonce
		s.header, s.clientFirst = headerNone, string(message)
		nonce := strings.Split(s.clientFirst, "r=")[1]
		return s.challenge(nonce + "xyz"), nil
	}
	if firstFault(NewServer(Keys{}, nil), []byte("n,,n=,r=abc,x=1"), lax) == "" {
		t.Error("a server that takes the extensions into the nonce is not found")
	}
	deaf := func(s *Server, message []byte) ([]byte, error) { // forgets what it has offered
		s.offered = false
		challenge, err := s.First(message)
		s.offered = true
		return challenge, err
	}
	if firstFault(doors(t, Keys{})["TLS, "+Mechanism], []byte("y,,n=,r=abc"), deaf) == "" {
		t.Error("a server that lets its offer be changed is not found")
	}
	blind := func(s *Server, message []byte) ([]byte, error) { // forgets which mechanism was chosen
		bound := s.endPoint
		s.endPoint = testEndPoint()
		challenge, err := s.First(message)
		s.endPoint = bound
		return challenge, err
	}
	if firstFault(doors(t, Keys{})["TLS, "+Mechanism], []byte(headerBound+"n=,r=abc"), blind) == "" {
		t.Error("a server that takes a bound message under the mechanism without binding is not found")
	}
	eager := func(*Client, []byte, []byte, ChannelBinding) (string, error) { return MechanismPlus, nil }
	if selectFault(Offer(testEndPoint()), nil, Prefer, eager) == "" {
		t.Error("a client that binds to nothing is not found")
	}

	keys, clientKey := vectorKeys(t)
	stray, strayClient := NewKeys("another")
	s := vectorServer(t, keys)
	s.keys.StoredKey = stray.StoredKey // accepts the wrong user's password
	c := vectorClient()
	if _, _, err := c.Salt([]byte(vector.serverFirst)); err != nil {
		t.Fatal(err)
	}
	if finalFault(s, vector.clientFinal, c.Final(strayClient, stray.ServerKey)) == "" {
		t.Error("a server that accepts another password is not found")
	}
	s, genuine := boundVector(t, keys, clientKey)
	s.endPoint = bytes.Repeat([]byte{1}, 32) // accepts a client that sees another certificate
	c = vectorClient()
	c.header, c.endPoint = headerBound, s.endPoint
	if _, _, err := c.Salt([]byte(vector.serverFirst)); err != nil {
		t.Fatal(err)
	}
	if finalFault(s, genuine, c.Final(clientKey, keys.ServerKey)) == "" {
		t.Error("a server that accepts another end point is not found")
	}
}
