package scram

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
)

// testEndPoint stands for the SHA-256 of a certificate.
func testEndPoint() []byte { return bytes.Repeat([]byte{0xc5}, 32) }

func TestOffer(t *testing.T) {
	if got := string(Offer(nil)); got != "SCRAM-SHA-256\x00\x00" {
		t.Errorf("without TLS %q is offered", got)
	}
	if got := string(Offer(testEndPoint())); got != "SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00" {
		t.Errorf("over TLS %q is offered", got)
	}
}

func TestClientSelects(t *testing.T) {
	const (
		both  = MechanismPlus + "\x00" + Mechanism + "\x00\x00"
		plain = Mechanism + "\x00\x00"
		plus  = MechanismPlus + "\x00\x00"
	)
	ep := testEndPoint()
	for _, tt := range []struct {
		name     string
		offer    string
		endPoint []byte
		want     ChannelBinding
		header   string // of the first message
		err      error
	}{
		{"no TLS", plain, nil, Prefer, "n,,", nil},
		{"no TLS, disabled", plain, nil, Disable, "n,,", nil},
		{"no TLS, required", plain, nil, Require, "", ErrUnsupported},
		{"no TLS, and yet offered", both, nil, Prefer, "", ErrNegotiation},
		{"no TLS, and yet offered, required", both, nil, Require, "", ErrUnsupported},
		{"no end point, disabled", both, nil, Disable, "n,,", nil},
		{"an end point without bytes", both, []byte{}, Prefer, "", ErrNegotiation},
		{"TLS", both, ep, Prefer, "p=tls-server-end-point,,", nil},
		{"TLS, required", both, ep, Require, "p=tls-server-end-point,,", nil},
		{"TLS, disabled", both, ep, Disable, "n,,", nil},
		{"TLS, the worse one first", Mechanism + "\x00" + both, ep, Prefer, "p=tls-server-end-point,,", nil},
		{"TLS, only the better one", plus, ep, Prefer, "p=tls-server-end-point,,", nil},
		{"TLS, only the better one, disabled", plus, ep, Disable, "", ErrUnsupported},
		{"TLS, not offered", plain, ep, Prefer, "y,,", nil},
		{"TLS, not offered, disabled", plain, ep, Disable, "n,,", nil},
		{"TLS, not offered, required", plain, ep, Require, "", ErrUnsupported},
		{"something unknown before it", "OAUTHBEARER\x00" + both, ep, Prefer, "p=tls-server-end-point,,", nil},
		{"nothing known", "OAUTHBEARER\x00\x00", nil, Prefer, "", ErrUnsupported},
		{"nothing", "\x00", nil, Prefer, "", ErrUnsupported},
		{"a name that only begins so", Mechanism + "-X\x00\x00", nil, Prefer, "", ErrUnsupported},
		{"no end", Mechanism + "\x00", nil, Prefer, "", ErrMalformed},
		{"empty", "", nil, Prefer, "", ErrMalformed},
		{"bytes behind the end", plain + plus, ep, Prefer, "y,,", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := NewClient(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			mechanism, err := c.Select([]byte(tt.offer), tt.endPoint, tt.want)
			if !errors.Is(err, tt.err) || (err != nil) != (mechanism == "") {
				t.Fatalf("got %q, %v; want %v", mechanism, err, tt.err)
			}
			if err != nil {
				return
			}
			if bound := strings.HasPrefix(tt.header, "p"); bound != (mechanism == MechanismPlus) {
				t.Errorf("mechanism is %s", mechanism)
			}
			if first := string(c.First()); !strings.HasPrefix(first, tt.header+"n=,r=") {
				t.Errorf("first message is %q, want %q at its front", first, tt.header)
			}
		})
	}
}

func TestRequiredButNotOfferedInWords(t *testing.T) {
	for words, endPoint := range map[string][]byte{
		"channel binding is required, but the connection has no TLS":    nil,
		"channel binding is required, but the server does not offer it": testEndPoint(),
	} {
		_, err := vectorClient().Select(Offer(nil), endPoint, Require)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
}

func TestServerSelects(t *testing.T) {
	for _, tt := range []struct {
		mechanism string
		endPoint  []byte
		want      error
	}{
		{Mechanism, nil, nil},
		{Mechanism, testEndPoint(), nil},
		{MechanismPlus, testEndPoint(), nil},
		{MechanismPlus, nil, ErrMalformed},
		{MechanismPlus, []byte{}, ErrMalformed},
		{"", testEndPoint(), ErrMalformed},
		{"scram-sha-256", nil, ErrMalformed},
	} {
		if err := NewServer(MockKeys("", ""), nil).Select(tt.mechanism, tt.endPoint); !errors.Is(err, tt.want) {
			t.Errorf("%q: %v, want %v", tt.mechanism, err, tt.want)
		}
	}
}

// An attack is what somebody between the two does. Its zero value is nobody.
type attack struct {
	offer     func([]byte) []byte // of the server, as the client sees it
	mechanism func(string) string // what the server sees
	first     func(string) string
	final     func(string) string
	behind    []byte // the end point that the client sees
}

// walk lets a client log in at a server, both with the right keys, and returns what each says at the end.
func walk(t *testing.T, endPoint []byte, want ChannelBinding, a attack) (server, client error) {
	t.Helper()
	keys, clientKey := vectorKeys(t)
	offer, seen := Offer(endPoint), endPoint
	if a.offer != nil {
		offer = a.offer(offer)
	}
	if a.behind != nil {
		seen = a.behind
	}
	c, err := NewClient(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mechanism, err := c.Select(offer, seen, want)
	if err != nil {
		return nil, err
	}
	apply := func(f func(string) string, s string) string {
		if f == nil {
			return s
		}
		return f(s)
	}
	s := NewServer(keys, rand.Reader)
	if err := s.Select(apply(a.mechanism, mechanism), endPoint); err != nil {
		return err, nil
	}
	challenge, err := s.First([]byte(apply(a.first, string(c.First()))))
	if err != nil {
		return err, nil
	}
	salt, iterations, err := c.Salt(challenge)
	if err == nil {
		err = keys.Match(salt, iterations)
	}
	if err != nil {
		t.Fatal(err)
	}
	verdict, learnt, err := s.Final([]byte(apply(a.final, string(c.Final(clientKey, keys.ServerKey)))))
	if (err == nil) != (learnt == clientKey) {
		t.Errorf("key learnt: %t, error %v", learnt == clientKey, err)
	}
	if err != nil {
		return err, nil
	}
	return nil, c.Verify(verdict)
}

func TestBoundExchange(t *testing.T) {
	// base64 of "p=tls-server-end-point,," and of 32 bytes c5.
	const attribute = "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcU=,r="
	for _, tt := range []struct {
		name      string
		endPoint  []byte
		want      ChannelBinding
		attribute string
	}{
		{"no TLS", nil, Prefer, "c=biws,r="},
		{"TLS", testEndPoint(), Prefer, attribute},
		{"TLS, required", testEndPoint(), Require, attribute},
		{"TLS, disabled", testEndPoint(), Disable, "c=biws,r="},
		{"the hash of SHA-512", bytes.Repeat([]byte{7}, 64), Require, "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsBwcH"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var final string
			server, client := walk(t, tt.endPoint, tt.want, attack{final: func(s string) string { final = s; return s }})
			if server != nil || client != nil {
				t.Fatalf("server: %v; client: %v", server, client)
			}
			if !strings.HasPrefix(final, tt.attribute) {
				t.Errorf("final message is %s, want %s at its front", final, tt.attribute)
			}
		})
	}
}

// TestPlusIsNotThere is a server with TLS whose certificate has no end point: a client that could bind says so, and is let in.
func TestPlusIsNotThere(t *testing.T) {
	server, client := walk(t, nil, Prefer, attack{behind: testEndPoint()})
	if server != nil || client != nil {
		t.Errorf("server: %v; client: %v", server, client)
	}
}

// TestAttacks is the table of what channel binding is for. All are refused by the server, though the keys are right.
func TestAttacks(t *testing.T) {
	ep := testEndPoint()
	other := slices.Clone(ep)
	other[31] ^= 1
	replace := func(old, new string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				t.Errorf("%q does not hold %q: the attack is none", s, old)
			}
			return strings.Replace(s, old, new, 1)
		}
	}
	become := func(mechanism string) func(string) string { return func(string) string { return mechanism } }
	header := "p=tls-server-end-point,,"
	bound := channelBinding(header, ep)
	for _, tt := range []struct {
		name     string
		endPoint []byte
		want     ChannelBinding
		attack   attack
		err      error
		words    string
	}{
		{"another certificate", ep, Prefer, attack{behind: other}, ErrBinding, ""},
		{"a shorter end point", ep, Prefer, attack{behind: ep[:31]}, ErrBinding, ""},
		{"a longer end point", ep, Prefer, attack{behind: append(slices.Clone(ep), 0)}, ErrBinding, ""},
		{
			"the better mechanism hidden", ep, Prefer,
			attack{offer: func([]byte) []byte { return Offer(nil) }},
			ErrNegotiation, "the client supports SCRAM channel binding but thinks the server does not",
		},
		{
			"hidden, and the flag changed", ep, Prefer,
			attack{offer: func([]byte) []byte { return Offer(nil) }, first: replace("y,,", "n,,")},
			ErrMalformed, "unexpected SCRAM channel-binding attribute in client-final-message",
		},
		{
			"hidden, and both flags changed", ep, Prefer,
			attack{offer: func([]byte) []byte { return Offer(nil) }, first: replace("y,,", "n,,"), final: replace("eSws", "biws")},
			ErrFailed, "",
		},
		{
			"unbound under the better mechanism", ep, Disable,
			attack{mechanism: become(MechanismPlus)},
			ErrMalformed, "the client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data",
		},
		{
			"y under the better mechanism", ep, Prefer,
			attack{first: replace(header, "y,,")},
			ErrMalformed, "the client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data",
		},
		{
			"bound under the worse mechanism", ep, Prefer,
			attack{mechanism: become(Mechanism)},
			ErrMalformed, "the client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data",
		},
		{
			"bound without TLS", nil, Prefer,
			attack{first: replace("n,,", header)},
			ErrMalformed, "the client selected SCRAM-SHA-256 without channel binding",
		},
		{
			"the better mechanism without TLS", nil, Prefer,
			attack{mechanism: become(MechanismPlus)},
			ErrMalformed, "client selected an invalid SASL authentication mechanism",
		},
		{
			"another type", ep, Prefer,
			attack{first: replace("tls-server-end-point", "tls-unique")},
			ErrMalformed, `unsupported SCRAM channel-binding type "tls-unique"`,
		},
		{
			"a type that is longer", ep, Prefer,
			attack{first: replace("end-point", "end-point2")},
			ErrMalformed, `unsupported SCRAM channel-binding type "tls-server-end-point2"`,
		},
		{
			"a type of 500 letters", ep, Prefer,
			attack{first: replace(",", strings.Repeat("x", 500))},
			ErrMalformed, `unsupported SCRAM channel-binding type "tls-server-end-pointxxxxxxxxxx"`,
		},
		{"a flag without a type", ep, Prefer, attack{first: replace("p=tls-server-end-point", "p")}, ErrMalformed, ""},
		{"another user", ep, Prefer, attack{first: replace(",,", ",a=boss,")}, ErrUnsupported, "authorization identity"},
		{"no second comma", ep, Prefer, attack{first: replace(",,", ",")}, ErrMalformed, ""},
		{"the binding taken away", ep, Prefer, attack{final: replace(bound, "biws")}, ErrBinding, ""},
		{"the header alone", ep, Prefer, attack{final: replace(bound, channelBinding(header, nil))}, ErrBinding, ""},
		{"the end point alone", ep, Prefer, attack{final: replace(bound, channelBinding("", ep))}, ErrBinding, ""},
		{"one bit of the end point", ep, Prefer, attack{final: replace(bound, channelBinding(header, other))}, ErrBinding, ""},
		{"a binding that is not base64", ep, Prefer, attack{final: replace(bound, "*"+bound[1:])}, ErrBinding, ""},
		{"an empty binding", ep, Prefer, attack{final: replace(bound, "")}, ErrBinding, ""},
		{"no binding", ep, Prefer, attack{final: replace("c="+bound+",", "")}, ErrMalformed, ""},
		{"bound at the end only", ep, Disable, attack{final: replace("biws", bound)}, ErrMalformed, ""},
		{"y at the end only", nil, Prefer, attack{final: replace("biws", "eSws")}, ErrMalformed, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, client := walk(t, tt.endPoint, tt.want, tt.attack)
			if tt.err == nil || !errors.Is(server, tt.err) || client != nil || !strings.Contains(server.Error(), tt.words) {
				t.Errorf("server: %v; client: %v; want the server to say %v (%s)", server, client, tt.err, tt.words)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	keys, _ := vectorKeys(t)
	for _, tt := range []struct {
		salt       []byte
		iterations int
		want       error
	}{
		{slices.Clone(keys.Salt), 4096, nil},
		{slices.Clone(keys.Salt), 4097, ErrOtherVerifier},
		{keys.Salt[1:], 4096, ErrOtherVerifier},
		{nil, 4096, ErrOtherVerifier},
		{MockKeys("s", "u").Salt, 4096, ErrOtherVerifier},
	} {
		if err := keys.Match(tt.salt, tt.iterations); !errors.Is(err, tt.want) {
			t.Errorf("%x, %d: %v, want %v", tt.salt, tt.iterations, err, tt.want)
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	keys, clientKey := vectorKeys(b)
	for name, endPoint := range map[string][]byte{"plain": nil, "plus": testEndPoint()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c, _ := NewClient(rand.Reader)
				s := NewServer(keys, rand.Reader)
				if endPoint != nil {
					mechanism, _ := c.Select(Offer(endPoint), endPoint, Prefer)
					s.Select(mechanism, endPoint)
				}
				challenge, _ := s.First(c.First())
				c.Salt(challenge)
				verdict, _, err := s.Final(c.Final(clientKey, keys.ServerKey))
				if err == nil {
					err = c.Verify(verdict)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
