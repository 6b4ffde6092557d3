package hba

import (
	"fmt"
	"net/netip"
	"testing"
)

// explained is a matcher that goes by Explain. An explanation that is none is a fault.
func explained(t testing.TB) func(*Rules, *Maps) matcher {
	return func(rules *Rules, _ *Maps) matcher {
		return func(q *Request) (*Rule, error) {
			steps, err := rules.Explain(q)
			for i, s := range steps {
				if s.Why == "" || s.Rule != &rules.rules[i] || s.Fits != (i == len(steps)-1 && s.Fits) {
					t.Fatalf("step %d of %+v: %+v", i, q, s)
				}
			}
			if n := len(steps); err == nil && n > 0 && steps[n-1].Fits {
				return steps[n-1].Rule, nil
			}
			if err == nil && len(steps) != len(rules.rules) {
				t.Fatalf("%+v: %d steps for %d rules", q, len(steps), len(rules.rules))
			}
			return nil, err
		}
	}
}

// TestExplainAgrees: Explain finds what Match finds, for all that the tables ask, and with what they do not give.
func TestExplainAgrees(t *testing.T) {
	compared := 0
	for _, tb := range tables(t) {
		for _, w := range tb.wrong(t, explained(t)) {
			t.Errorf("%s: %s", tb.name, w)
		}
		rules, maps, problems := tb.parse(t)
		if len(problems) > 0 {
			continue
		}
		explain := explained(t)(rules, maps)
		for _, q := range tb.requests {
			for _, lacking := range []func(*Request){
				func(*Request) {}, func(q *Request) { q.Member = nil }, func(q *Request) { q.HostName = nil }, func(q *Request) { q.Interfaces = nil },
				func(q *Request) { q.Local = !q.Local }, func(q *Request) { q.TLS = !q.TLS }, func(q *Request) { q.GSS = true },
			} {
				q := q.Request
				lacking(&q)
				want, wantErr := rules.Match(&q)
				got, err := explain(&q)
				if compared++; got != want || fmt.Sprint(err) != fmt.Sprint(wantErr) {
					t.Errorf("%s: %+v: Explain has %v, %v, Match %v, %v", tb.name, q, got, err, want, wantErr)
				}
			}
		}
	}
	if compared < 2000 {
		t.Errorf("only %d compared", compared)
	}
}

func TestExplain(t *testing.T) {
	at := netip.MustParseAddr
	tcp := Request{User: "ann", Database: "shop", Addr: at("10.1.2.3"), Member: isMember, HostName: func() string { return "a.example.com" }}
	with := func(change func(*Request)) Request { q := tcp; change(&q); return q }
	tls := with(func(q *Request) { q.TLS = true })
	unix := with(func(q *Request) { q.Local = true })
	physical := with(func(q *Request) { q.Replication, q.Database = true, "" })
	own := with(func(q *Request) { q.Interfaces = []netip.Prefix{netip.MustParsePrefix("10.1.0.1/16")} })
	nameless := with(func(q *Request) { q.HostName = func() string { return "" } })
	mapped := with(func(q *Request) { q.Addr = at("::ffff:10.1.2.3") })
	alice := with(func(q *Request) { q.User, q.Database = "alice", "staff" })
	for _, tt := range []struct {
		rule string
		q    Request
		fits bool
		why  string
	}{
		{"local all all trust", tcp, false, "it is for unix sockets, and the client comes by TCP"},
		{"host all all all trust", unix, false, "it is for TCP, and the client comes by a unix socket"},
		{"hostssl all all all trust", tcp, false, "it is for TLS, and the connection is not encrypted by it"},
		{"hostnossl all all all trust", tls, false, "it is for connections without TLS, and this one has it"},
		{"hostgssenc all all all trust", tls, false, "it is for encryption by GSSAPI, and the connection has none"},
		{"hostnogssenc all all all trust", with(func(q *Request) { q.GSS = true }), false, "it is for connections without encryption by GSSAPI, and this one has it"},
		{"host a,/^b all all trust", tcp, false, `database "shop" is not in a,/^b`},
		{`host "all" all all trust`, tcp, false, `database "shop" is not in "all" (in quotes "all" is a name and no keyword)`},
		{"host all all all trust", physical, false, "only the word replication fits physical replication, not all"},
		{"host replication all all trust", tcp, false, "it is for physical replication, and the client wants a database"},
		{"host sameuser all all trust", tcp, false, `it is for a database with the user's name, and database "shop" is not named as user "ann"`},
		{"host samegroup all all trust", tcp, false, `user "ann" is not a member of a role "shop", as its database is called`},
		{"host all bob,+staff all trust", tcp, false, `user "ann" is not in bob,+staff`},
		{"host all +staff all trust", tcp, false, `user "ann" is not a member of "staff"`},
		{`host all "+staff" all trust`, alice, false, `user "alice" is not in "+staff" (in quotes "+staff" is a name and no keyword)`},
		{"host all all 10.2.0.0/16 trust", tcp, false, "address 10.1.2.3 is not in 10.2.0.0/16"},
		{"host all all ::/0 trust", mapped, false, "address 10.1.2.3 is IPv4, and ::/0 is IPv6"},
		{"host all all .example.org trust", tcp, false, `host "a.example.com" is not .example.org`},
		{"host all all a.example.com trust", nameless, false, "address 10.1.2.3 has no host name that leads back to it, so it is not a.example.com"},
		{"host all all samehost trust", own, false, "address 10.1.2.3 is none of the proxy's machine"},
		{"host all all samenet trust", tcp, false, "address 10.1.2.3 is in no network of the proxy's machine"},

		{"local all ann trust", unix, true, `a unix socket; any database; user "ann"`},
		{"host a,shop all all trust", tcp, true, `TCP; database "shop"; any user; any address`},
		{"hostssl /^s /^a 10.0.0.0/8 trust", tls, true, `TCP with TLS; database "shop" by /^s; user "ann" by /^a; address 10.1.2.3 in 10.0.0.0/8`},
		{"hostnossl samerole +staff all trust", alice, true, `TCP without TLS; database "staff" by samerole; user "alice" by +staff; any address`},
		{"hostnogssenc replication all 10.0.0.0 255.0.255.0 trust", with(func(q *Request) { q.Replication, q.Addr = true, at("10.9.0.3") }), true, "TCP without encryption by GSSAPI; physical replication; any user; address 10.9.0.3 in 10.0.0.0 255.0.255.0"},
		{"hostgssenc all all .example.com trust", with(func(q *Request) { q.GSS = true }), true, `TCP with encryption by GSSAPI; any database; any user; host "a.example.com" by .example.com`},
		{"host all all samenet trust", own, true, "TCP; any database; any user; address 10.1.2.3 is in a network of the proxy's machine"},
		{"host all all samehost trust", with(func(q *Request) { q.Interfaces = []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")} }), true, "TCP; any database; any user; address 10.1.2.3 is one of the proxy's machine"},
	} {
		if tt.q.Member == nil {
			tt.q.Member = isMember
		}
		steps, err := must(t, tt.rule).Explain(&tt.q)
		if err != nil || len(steps) != 1 || steps[0].Fits != tt.fits || steps[0].Why != tt.why {
			t.Errorf("%s: %+v, %v\nwant %s", tt.rule, steps, err, tt.why)
		}
	}
	steps, err := must(t, "local all all trust\nhost all +staff all trust\nhost all all all trust").Explain(&Request{User: "ann", Addr: at("10.1.2.3")})
	if len(steps) != 1 || err == nil || err.Error() != "pg_hba.conf:2: the rule needs the memberships of roles, which the request does not have" {
		t.Errorf("got %+v, %v", steps, err)
	}
}

func TestMapsHas(t *testing.T) {
	m, problems := ParseIdent("i", []byte("staff ann ann\n"), Options{})
	if problems != nil || !m.Has("staff") || m.Has("other") || (*Maps)(nil).Has("staff") {
		t.Errorf("%v, %v", m, problems)
	}
}
