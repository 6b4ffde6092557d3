package scram

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

// vector is the exchange of RFC 7677, section 3.
var vector = struct{ clientNonce, serverNonce, salt, clientFirst, serverFirst, clientFinal, serverFinal string }{
	clientNonce: "rOprNGfwEbeRWgbNEkqO",
	serverNonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
	salt:        "W22ZaJ0SNY7soEsUEjb6gQ==",
	clientFirst: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
	serverFirst: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
	clientFinal: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	serverFinal: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
}

// vectorServer returns a Server that has sent the challenge of the vector.
func vectorServer(t testing.TB, k Keys) *Server {
	s := NewServer(k, nil)
	nonce, err := s.readFirst(vector.clientFirst)
	if err != nil {
		t.Fatal(err)
	}
	s.challenge(nonce + vector.serverNonce)
	return s
}

// vectorClient returns a Client that has sent the first message of the vector.
func vectorClient() *Client {
	return &Client{header: headerNone, nonce: vector.clientNonce, firstBare: "n=user,r=" + vector.clientNonce}
}

func vectorKeys(t testing.TB) (Keys, ClientKey) {
	salt, err := base64.StdEncoding.DecodeString(vector.salt)
	if err != nil {
		t.Fatal(err)
	}
	return Derive("pencil", salt, 4096)
}

// pair returns two sides that have come as far as the client's final message.
func pair(t *testing.T, k Keys, client ClientKey, serverKey Key) (c *Client, s *Server, final []byte) {
	t.Helper()
	c, err := NewClient(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s = NewServer(k, rand.Reader)
	challenge, err := s.First(c.First())
	if err != nil {
		t.Fatal(err)
	}
	salt, iterations, err := c.Salt(challenge)
	if err != nil || !bytes.Equal(salt, k.Salt) || iterations != k.Iterations {
		t.Fatalf("the challenge is %x, %d, %v; want %x, %d", salt, iterations, err, k.Salt, k.Iterations)
	}
	return c, s, c.Final(client, serverKey)
}

func TestVectorOfRFC7677(t *testing.T) {
	keys, clientKey := vectorKeys(t)

	s := vectorServer(t, keys)
	if s.serverFirst != vector.serverFirst {
		t.Errorf("challenge is %s", s.serverFirst)
	}
	final, gotKey, err := s.Final([]byte(vector.clientFinal))
	if err != nil || string(final) != vector.serverFinal || gotKey != clientKey {
		t.Errorf("server's final message is %s, key right %t, error %v", final, gotKey == clientKey, err)
	}

	c := vectorClient()
	if got := c.First(); string(got) != vector.clientFirst {
		t.Errorf("client's first message is %s", got)
	}
	salt, iterations, err := c.Salt([]byte(vector.serverFirst))
	if err != nil || !bytes.Equal(salt, keys.Salt) || iterations != 4096 {
		t.Errorf("salt is %x, iterations are %d, error %v", salt, iterations, err)
	}
	if got := c.Final(clientKey, keys.ServerKey); string(got) != vector.clientFinal {
		t.Errorf("client's final message is %s", got)
	}
	if err := c.Verify([]byte(vector.serverFinal)); err != nil {
		t.Error(err)
	}
}

func TestBothRoles(t *testing.T) {
	keys, clientKey := NewKeys("sesame")
	c, s, final := pair(t, keys, clientKey, keys.ServerKey)
	verdict, learnt, err := s.Final(final)
	if err != nil || learnt != clientKey {
		t.Fatalf("the right password: learnt its key %t, error %v", learnt == clientKey, err)
	}
	if err := c.Verify(verdict); err != nil {
		t.Fatal(err)
	}

	// What the server learnt opens another server that stores the same verifier.
	if _, s, final = pair(t, keys, learnt, keys.ServerKey); final == nil {
		t.Fatal("no final message")
	}
	if _, _, err := s.Final(final); err != nil {
		t.Errorf("with the key learnt from a proof: %v", err)
	}
}

func TestFailuresLookAlike(t *testing.T) {
	keys, clientKey := NewKeys("sesame")
	_, wrong := Derive("Sesame", keys.Salt, keys.Iterations)
	mock := MockKeys("secret", "nobody")
	// Keys to which a proof fits, but of a user that does not exist.
	mocked := keys
	mocked.mock = true

	for name, tt := range map[string]struct {
		keys   Keys
		client ClientKey
	}{
		"wrong password":         {keys, wrong},
		"unknown user":           {mock, clientKey},
		"unknown user, luck too": {mocked, clientKey},
		"StoredKey as ClientKey": {keys, ClientKey(keys.StoredKey)},
	} {
		t.Run(name, func(t *testing.T) {
			_, s, final := pair(t, tt.keys, tt.client, tt.keys.ServerKey)
			answer, key, err := s.Final(final)
			if err != ErrFailed || answer != nil || key != (ClientKey{}) {
				t.Errorf("got %q, key zero %t, %v; want only %v", answer, key == ClientKey{}, err, ErrFailed)
			}
		})
	}
}

func TestServerWithoutTheVerifierIsFoundOut(t *testing.T) {
	keys, clientKey := NewKeys("sesame")
	impostor := keys
	impostor.ServerKey[0] ^= 1
	c, s, final := pair(t, impostor, clientKey, keys.ServerKey)
	verdict, _, err := s.Final(final)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(verdict); !errors.Is(err, ErrFailed) {
		t.Errorf("the client believes a server with another ServerKey: %v", err)
	}
}

func TestMockKeys(t *testing.T) {
	k := MockKeys("secret", "nobody")
	if again := MockKeys("secret", "nobody"); again.String() != k.String() {
		t.Error("a second challenge for the same name differs")
	}
	for _, other := range []Keys{MockKeys("secret", "nobodz"), MockKeys("Secret", "nobody")} {
		if bytes.Equal(other.Salt, k.Salt) {
			t.Error("another name or secret has the same salt")
		}
	}
	real, _ := NewKeys("x")
	if len(k.Salt) != len(real.Salt) || k.Iterations != real.Iterations {
		t.Errorf("challenge of %d bytes and %d iterations gives the mock away", len(k.Salt), k.Iterations)
	}
}

func TestVerifiers(t *testing.T) {
	keys, _ := vectorKeys(t)
	text := keys.String()
	if want := "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="; text != want {
		t.Errorf("verifier is %s, want %s", text, want)
	}
	back, err := ParseVerifier(text)
	if err != nil || back.String() != text || !IsVerifier(text) {
		t.Errorf("%s reads as %s, %v", text, back, err)
	}

	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	short := base64.StdEncoding.EncodeToString(make([]byte, 31))
	long := base64.StdEncoding.EncodeToString(make([]byte, 33))
	for _, text := range []string{
		"", "sesame", "md5c20eb9eb5b4fa4b4a6d0f0a3b0a4e9c4",
		"SCRAM-SHA-256", "SCRAM-SHA-256$", "scram-sha-256$4096:AAAA$" + key + ":" + key,
		"SCRAM-SHA-256$4096$" + key + ":" + key,
		"SCRAM-SHA-256$4096:AAAA$" + key,
		"SCRAM-SHA-256$4096:AAAA:" + key + ":" + key,
		"SCRAM-SHA-256$0:AAAA$" + key + ":" + key,
		"SCRAM-SHA-256$-1:AAAA$" + key + ":" + key,
		"SCRAM-SHA-256$4096x:AAAA$" + key + ":" + key,
		"SCRAM-SHA-256$10000001:AAAA$" + key + ":" + key,
		"SCRAM-SHA-256$4096:$" + key + ":" + key,
		"SCRAM-SHA-256$4096:A$" + key + ":" + key,
		"SCRAM-SHA-256$4096:AA\nAA$" + key + ":" + key,
		"SCRAM-SHA-256$4096:AAAA$" + short + ":" + key,
		"SCRAM-SHA-256$4096:AAAA$" + key + ":" + long,
		"SCRAM-SHA-256$4096:AAAA$" + key + ":" + key + ":",
		"SCRAM-SHA-256$4096:AAAA$" + key + ":" + key + "\n",
	} {
		if _, err := ParseVerifier(text); !errors.Is(err, ErrVerifier) || IsVerifier(text) {
			t.Errorf("%q: got %v, want %v", text, err, ErrVerifier)
		} else if strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%q: the error shows the secret: %v", text, err)
		}
	}
}

func TestServerRefusesFirst(t *testing.T) {
	keys := MockKeys("", "")
	for _, tt := range []struct {
		message string
		want    error
	}{
		{"n,,n=,r=abc", nil},
		{"y,,n=user,r=abc", nil},
		{"n,,n=a=2Cb,r=abc,x=1,Y=,z=,", nil},               // extensions are read over, as is a last comma
		{"p=tls-server-end-point,,n=,r=abc", ErrMalformed}, // chosen was the mechanism without channel binding
		{"p,,n=,r=abc", ErrMalformed},
		{"x,,n=,r=abc", ErrMalformed},
		{"", ErrMalformed},
		{"n", ErrMalformed},
		{"n,", ErrMalformed},
		{"n,,", ErrMalformed},
		{"n;,n=,r=abc", ErrMalformed},
		{"n,a=boss,n=,r=abc", ErrUnsupported},
		{"n,a,n=,r=abc", ErrUnsupported},
		{"n,x,n=,r=abc", ErrMalformed},
		{"n,,m=ext,n=,r=abc", ErrUnsupported},
		{"n,,n=,m=ext,r=abc", ErrUnsupported},
		{"n,,r=abc", ErrMalformed},
		{"n,,n=", ErrMalformed},
		{"n,,n=,r=", ErrMalformed},
		{"n,,n=,r", ErrMalformed},
		{"n,,n,r=abc", ErrMalformed},
		{"n,,n=,r=a b", ErrMalformed},
		{"n,,n=,r=a\x7f", ErrMalformed},
		{"n,,n=,r=\xc3\xa4", ErrMalformed},
		{"n,,n=,r=abc,1=x", ErrMalformed},
		{"n,,n=,r=abc,,", ErrMalformed},
		{"n,,n=,r=abc,x", ErrMalformed},
		{"n,,n=,r=abc\x00", ErrMalformed},
		{"n,,n=,r=" + strings.Repeat("a", MaxMessage-8), nil},
		{"n,,n=,r=" + strings.Repeat("a", MaxMessage-7), ErrMalformed},
	} {
		s := NewServer(keys, rand.Reader)
		challenge, err := s.First([]byte(tt.message))
		if !errors.Is(err, tt.want) || (err == nil) != (challenge != nil) {
			t.Errorf("%q: got %q, %v; want %v", tt.message, challenge, err, tt.want)
		}
		if _, _, err := s.Final([]byte("c=biws,r=,p=AAAA")); err == nil {
			t.Errorf("%q: a final message without the nonce passes", tt.message)
		}
	}
}

func TestServerRefusesFinal(t *testing.T) {
	keys, _ := vectorKeys(t)
	before, proof, _ := strings.Cut(vector.clientFinal, ",p=")
	for _, tt := range []struct {
		name, message string
		want          error
	}{
		{"as it is", vector.clientFinal, nil},
		{"a last comma", vector.clientFinal + ",", nil},
		{"an extension is signed too", before + ",x=1,p=" + proof, ErrFailed},
		{"one bit", strings.Replace(vector.clientFinal, "p=d", "p=e", 1), ErrFailed},
		{"empty", "", ErrMalformed},
		{"no binding", strings.TrimPrefix(vector.clientFinal, "c=biws,"), ErrMalformed},
		{"y after n", strings.Replace(vector.clientFinal, "biws", "eSws", 1), ErrMalformed},
		{"binding with data", strings.Replace(vector.clientFinal, "biws", "biwsAAAA", 1), ErrMalformed},
		{"mandatory extension", "m=x," + vector.clientFinal, ErrUnsupported},
		{"another nonce", strings.Replace(vector.clientFinal, "k0,", "k1,", 1), ErrMalformed},
		{"the client's nonce alone", strings.Replace(vector.clientFinal, vector.serverNonce, "", 1), ErrMalformed},
		{"no proof", before, ErrMalformed},
		{"empty proof", before + ",p=", ErrMalformed},
		{"short proof", before + ",p=" + proof[4:], ErrMalformed},
		{"long proof", before + ",p=AAAA" + proof, ErrMalformed},
		{"proof with a newline", before + ",p=" + proof[:8] + "\n" + proof[8:], ErrMalformed},
		{"proof is not base64", before + ",p=*" + proof[1:], ErrMalformed},
		{"garbage behind", vector.clientFinal + ",x=1", ErrMalformed},
		{"zero byte", vector.clientFinal + "\x00", ErrMalformed},
		{"too long", before + ",x=" + strings.Repeat("x", MaxMessage) + ",p=" + proof, ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer, _, err := vectorServer(t, keys).Final([]byte(tt.message))
			if !errors.Is(err, tt.want) || (err == nil) != (answer != nil) {
				t.Errorf("got %q, %v; want %v", answer, err, tt.want)
			}
		})
	}
}

func TestClientRefuses(t *testing.T) {
	keys, clientKey := vectorKeys(t)
	last := func(c *Client, message string) error { return c.Verify([]byte(message)) }
	first := func(c *Client, message string) error {
		_, _, err := c.Salt([]byte(message))
		return err
	}
	for _, tt := range []struct {
		name, message string
		step          func(*Client, string) error
		want          error
	}{
		{"as it is", vector.serverFirst, first, nil},
		{"empty", "", first, ErrMalformed},
		{"mandatory extension", "m=x," + vector.serverFirst, first, ErrUnsupported},
		{"another nonce", "x" + vector.serverFirst, first, ErrMalformed},
		{"not the client's nonce", strings.Replace(vector.serverFirst, "rOpr", "rOps", 1), first, ErrMalformed},
		{"only the client's nonce", strings.Replace(vector.serverFirst, vector.serverNonce, "", 1), first, ErrMalformed},
		{"no salt", "r=rOprNGfwEbeRWgbNEkqOx,i=4096", first, ErrMalformed},
		{"empty salt", "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096", first, ErrMalformed},
		{"salt is not base64", "r=rOprNGfwEbeRWgbNEkqOx,s=W,i=4096", first, ErrMalformed},
		{"no iterations", "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA", first, ErrMalformed},
		{"0 iterations", "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=0", first, ErrMalformed},
		{"1 iteration", "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1", first, nil},
		{"1,000,000 iterations", "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=1000000", first, nil},
		{"10,000,001 iterations", "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=10000001", first, ErrMalformed},
		{"garbage behind", vector.serverFirst + ",x=1", first, ErrMalformed},

		{"as it is", vector.serverFinal, last, nil},
		{"one bit", strings.Replace(vector.serverFinal, "v=6", "v=7", 1), last, ErrFailed},
		{"empty", "", last, ErrMalformed},
		{"an error", "e=invalid-proof", last, ErrFailed},
		{"short signature", "v=AAAA", last, ErrMalformed},
		{"a proof", "p" + vector.serverFinal[1:], last, ErrMalformed},
		{"garbage behind", vector.serverFinal + ",x=1", last, ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := vectorClient()
			if err := c.Verify([]byte(vector.serverFinal)); !errors.Is(err, ErrMalformed) {
				t.Errorf("the last message first: %v", err)
			}
			if _, _, err := c.Salt([]byte(vector.serverFirst)); err != nil {
				t.Fatal(err)
			}
			c.Final(clientKey, keys.ServerKey)
			err := tt.step(c, tt.message)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if strings.HasSuffix(tt.message, "i=1000001") && !strings.Contains(fmt.Sprint(err), "1000000") {
				t.Errorf("%v: does not name the bound", err)
			}
		})
	}
}

func TestRandomnessThatFails(t *testing.T) {
	broken := iotest.ErrReader(errors.New("no entropy"))
	if _, err := NewClient(broken); err == nil {
		t.Error("a client without a nonce")
	}
	if _, err := NewServer(MockKeys("", ""), broken).First([]byte(vector.clientFirst)); err == nil {
		t.Error("a challenge without a nonce")
	}
}

func TestSecretsStayOutOfLogs(t *testing.T) {
	_, key := vectorKeys(t)
	for _, verb := range []string{"%v", "%s", "%#v"} {
		if got := fmt.Sprintf(verb, key); got != "[redacted]" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}
