package scram

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
)

// firstFault and finalFault state what must hold of any bytes, so that a planted fault can be shown to break it.

func firstFault(message []byte, step func(*Server, []byte) ([]byte, error)) string {
	s := NewServer(MockKeys("secret", "user"), rand.Reader)
	challenge, err := step(s, message)
	switch {
	case err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported):
		return "an error of no kind: " + err.Error()
	case err != nil && s.nonce != "":
		return "refused, and yet a nonce stands"
	case err != nil:
		return ""
	case len(message) > MaxMessage:
		return "accepted, though too long"
	case !strings.HasPrefix(string(challenge), "r="+s.nonce+","):
		return "challenge without the nonce"
	}
	// A client whose message this was goes on from here.
	bare := string(message)[3:]
	_, nonce, _ := strings.Cut(bare, ",r=")
	nonce, _, _ = strings.Cut(nonce, ",")
	c := &Client{nonce: nonce, firstBare: bare}
	if _, _, err := c.Salt(challenge); err != nil {
		return "the client refuses the challenge: " + err.Error()
	}
	return ""
}

func finalFault(s *Server, message []byte) string {
	answer, key, err := s.Final(message)
	switch {
	case err == nil && !strings.HasPrefix(strings.TrimSuffix(string(message), ","), vector.clientFinal):
		return "a message that nobody with the password made is accepted"
	case err == nil:
		return ""
	case answer != nil || key != (ClientKey{}):
		return "refused, and yet an answer"
	case !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrFailed):
		return "an error of no kind: " + err.Error()
	}
	return ""
}

func FuzzServerFirst(f *testing.F) {
	for _, seed := range []string{vector.clientFirst, "y,,n=,r=abc,x=1", "p=x,,n=,r=a", "n,a=b,n=,r=a", "n,,m=,n=,r=a"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if fault := firstFault(message, (*Server).First); fault != "" {
			t.Errorf("%q: %s", message, fault)
		}
	})
}

func FuzzServerFinal(f *testing.F) {
	keys, _ := vectorKeys(f)
	f.Add([]byte(vector.clientFinal))
	f.Add([]byte(strings.Replace(vector.clientFinal, ",p=", ",x=1,p=", 1)))
	f.Fuzz(func(t *testing.T, message []byte) {
		if fault := finalFault(vectorServer(t, keys), message); fault != "" {
			t.Errorf("%q: %s", message, fault)
		}
	})
}

func FuzzClient(f *testing.F) {
	keys, clientKey := vectorKeys(f)
	f.Add([]byte(vector.serverFirst), []byte(vector.serverFinal))
	f.Add([]byte("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1"), []byte("e=other-error"))
	f.Fuzz(func(t *testing.T, first, final []byte) {
		c := &Client{nonce: vector.clientNonce, firstBare: "n=user,r=" + vector.clientNonce}
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
		s.clientFirst = string(message)
		nonce := strings.Split(s.clientFirst, "r=")[1]
		return s.challenge(nonce + "xyz"), nil
	}
	if firstFault([]byte("n,,n=,r=abc,x=1"), lax) == "" {
		t.Error("a server that takes the extensions into the nonce is not found")
	}

	keys, _ := vectorKeys(t)
	stray, strayClient := NewKeys("another")
	s := vectorServer(t, keys)
	s.keys.StoredKey = stray.StoredKey // accepts the wrong user's password
	c := &Client{nonce: vector.clientNonce, firstBare: "n=user,r=" + vector.clientNonce}
	if _, _, err := c.Salt([]byte(vector.serverFirst)); err != nil {
		t.Fatal(err)
	}
	if finalFault(s, c.Final(strayClient, stray.ServerKey)) == "" {
		t.Error("a server that accepts another password is not found")
	}
}
