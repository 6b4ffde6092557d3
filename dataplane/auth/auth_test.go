package auth

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestDoor lets in, without a password, whom the configuration lets in, and asks the others in the right way.
func TestDoor(t *testing.T) {
	rules, problems := hba.Parse("pg_hba.conf", []byte(`
		local   all   all                  peer map=os
		host    shop  eve   10.0.0.0/8     reject
		hostssl all   all   10.0.0.0/8     cert
		host    shop  all   .example.org   md5
		hostssl replication all samehost   scram-sha-256 clientcert=verify-full
	`), hba.Options{})
	if problems != nil {
		t.Fatal(problems)
	}
	maps, problems := hba.ParseIdent("pg_ident.conf", []byte("os root ann\nos postgres eve\n"), hba.Options{})
	if problems != nil {
		t.Fatal(problems)
	}
	authority := certs.NewAuthority(t)
	cert := func(name string) *x509.Certificate {
		leaf, err := x509.ParseCertificate(authority.Client(name).TLS(t).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf
	}
	one := func(m Method) *Door { return &Door{Method: m} }
	ruled := &Door{Rules: rules, Maps: maps}
	named := &Door{Method: Trust, Named: true}
	from := func(user, addr string) Client {
		return Client{
			User: user, Database: "shop", Addr: netip.MustParseAddr(addr), HostName: func() string {
				if addr == "99.0.0.1" {
					return "www.example.org"
				}
				return ""
			},
			Interfaces: func() ([]netip.Prefix, error) { return []netip.Prefix{netip.MustParsePrefix("12.0.0.1/24")}, nil },
		}
	}
	secure := func(c Client, cert *x509.Certificate) Client {
		c.TLS, c.Cert = true, cert
		return c
	}
	unix := func(user, os string, err error) Client {
		return Client{User: user, Database: "shop", Unix: true, Local: true, OSUser: func() (string, error) { return os, err }}
	}
	physical := secure(from("ann", "12.0.0.1"), cert("ann"))
	physical.Physical = true
	plain := physical
	plain.TLS = false
	for _, c := range []struct {
		name string
		door *Door
		c    Client
		want string // "in", "who", or SQLSTATE and the sentence
	}{
		{"nothing said, local", one(LocalOnly), Client{Local: true}, "in"},
		{"nothing said, from afar", one(LocalOnly), from("ann", "10.0.0.1"), "28000 no authentication is configured, so only clients on this machine are let in"},
		{"trust", one(Trust), from("ann", "10.0.0.1"), "in"},
		{"scram", one(SCRAM), from("ann", "10.0.0.1"), "who"},
		{"cert", one(Cert), secure(from("ann", "10.0.0.1"), cert("ann")), "in"},
		{"cert of another", one(Cert), secure(from("ann", "10.0.0.1"), cert("eve")), `28000 certificate authentication failed for user "ann"`},
		{"no cert", one(Cert), from("ann", "10.0.0.1"), "28000 connection requires a valid client certificate"},
		{"peer", one(Peer), unix("ann", "ann", nil), "in"},
		{"peer, another", one(Peer), unix("ann", "eve", nil), `28000 peer authentication failed for user "ann"`},
		{"peer, nobody knows", one(Peer), unix("ann", "", errors.New("no such user")), `28000 peer authentication failed for user "ann"`},
		{"named", named, secure(from("ann", "10.0.0.1"), cert("ann")), "in"},
		{"named, of another", named, secure(from("ann", "10.0.0.1"), cert("eve")), `28000 "trust" authentication failed for user "ann"`},
		{"a map fits", ruled, unix("ann", "root", nil), "in"},
		{"no map fits", ruled, unix("eve", "root", nil), `28000 peer authentication failed for user "eve"`},
		{"rejected", ruled, from("eve", "10.0.0.1"), `28000 pg_hba.conf rejects connection for host "10.0.0.1", user "eve", database "shop", no encryption`},
		{"a rule for TLS", ruled, secure(from("ann", "10.0.0.1"), cert("ann")), "in"},
		{"no rule without TLS", ruled, from("ann", "10.0.0.1"), `28000 no pg_hba.conf entry for host "10.0.0.1", user "ann", database "shop", no encryption`},
		{"no rule with TLS", ruled, secure(from("ann", "::1"), cert("ann")), `28000 no pg_hba.conf entry for host "::1", user "ann", database "shop", SSL encryption`},
		{"a host name", ruled, from("ann", "99.0.0.1"), "who"},
		{"replication", ruled, physical, "who"},
		{"no rule for replication", ruled, plain, `28000 no pg_hba.conf entry for replication connection from host "12.0.0.1", user "ann", no encryption`},
	} {
		x, step := Begin(c.door, &c.c, "mock")
		step = work(x, step)
		got := outcome(step)
		switch {
		case step.Err != nil:
			got += " " + step.Err.Message
		case step.Who:
			got = "who"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestNothingIsLearnt asks unknown users for the same proof as known ones, with a salt that stays.
func TestNothingIsLearnt(t *testing.T) {
	u, err := users.New("ann", "secret")
	if err != nil {
		t.Fatal(err)
	}
	var salts []string
	for _, nonce := range []string{"abc", "xyz"} {
		first := pgscript.SASLInitial("SCRAM-SHA-256", "n,,n=,r="+nonce)[5:]
		_, known := begin(SCRAM, "ann", u)
		x, unknown := begin(SCRAM, "eve", nil)
		if string(known.Reply) != string(unknown.Reply) {
			t.Errorf("%q for a user, %q for nobody", known.Reply, unknown.Reply)
		}
		step := x.Step(first)
		if step.Err != nil || len(step.Reply) < 40 {
			t.Fatalf("nobody gets no challenge: %+v", step)
		}
		salts = append(salts, string(step.Reply[len(step.Reply)-32:]))
	}
	if salts[0] != salts[1] {
		t.Errorf("the salt of nobody changes: %q, %q", salts[0], salts[1])
	}
}
