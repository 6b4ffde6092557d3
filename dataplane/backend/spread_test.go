package backend

import (
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
)

// TestSpread opens connections to three hosts and looks which of them are dialled: a connection for sessions takes a turn, and one turn
// however often it is dialled.
func TestSpread(t *testing.T) {
	answers := map[string][]byte{
		"ok":      pgscript.Greeting(77, []byte("1234")),
		"not now": pgscript.ErrorResponse("FATAL", "57P03", "the database system is starting up"),
		"full":    pgscript.ErrorResponse("FATAL", "53300", "sorry, too many clients already"),
		"hostssl": pgscript.ErrorResponse("FATAL", "28000", "no pg_hba.conf entry"),
		"garbage": []byte("?"),
	}
	for _, tt := range []struct {
		name   string
		spread bool
		conns  []string // "APPLICATION: ANSWER, ...: HOST ...: NEWS": what each dial is told, which they are, and what becomes of it
	}{
		{"in turn", true, []string{": ok: 1: opened", ": ok: 2: opened", ": ok: 3: opened", ": ok: 1: opened"}},
		{"not spread", false, []string{": ok: 1: opened", ": ok: 1: opened"}},
		{"without a turn", true, []string{": ok: 1: opened", "catalog: ok: 2: opened", "catalog: ok: 2: opened", ": ok: 2: opened"}},
		{"dialled twice", true, []string{": hostssl, garbage: 1 1: failed", ": ok: 2: opened", ": hostssl, garbage: 3 3: failed"}},
		{"starts", true, []string{
			": not now, not now, ok: 1 2 3: opened", ": ok: 3: opened", ": ok: 3: opened", "catalog: not now, ok: 3 1: opened", ": ok: 1: opened", ": ok: 1: opened",
		}},
		{"all start", true, []string{": not now, not now, not now: 1 2 3: failed", ": not now, ok: 1 2: opened", ": ok: 2: opened"}},
		{"starts, not spread", false, []string{": not now: 1: failed", ": not now: 1: failed"}},
		{"another refusal", true, []string{": full: 1: failed", ": full: 2: failed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			var at []string
			memory := s.loop.Dialer
			s.loop.Dialer = func(a reactor.Address) *reactor.Endpoint {
				at = append(at, strings.TrimPrefix(a.IP.Addr().String(), "10.0.0."))
				return memory(a)
			}
			var list []resource.Host
			for _, host := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
				list = append(list, resource.Host{Name: host, Port: 5432})
			}
			encrypts, err := (&tlsconf.Files{}).LoadClient(tlsconf.ClientSpec{Spec: tlsconf.Spec{Mode: tlsconf.Allow}})
			if err != nil {
				t.Fatal(err)
			}
			to := Target{
				Node: "n1", Host: "10.0.0.1,10.0.0.2,10.0.0.3", Port: 5432, Server: hosts.Fixed(list, tt.spread), Database: "d", User: "u", Secret: NewSecret("u", ""),
				TLS: encrypts, Timeout: time.Minute, MaxStatements: 10, MaxStatementBytes: 1 << 20,
			}
			for _, conn := range tt.conns {
				p := strings.Split(conn, ": ")
				says, want, news := strings.Split(p[1], ", "), p[2], p[3]
				to := to
				to.ApplicationName = p[0]
				at, s.dialed = nil, nil
				Open(s.loop, &to, s)
				s.step()
				for i, a := range says {
					if len(s.dialed) != i+1 {
						t.Fatalf("%s: %d were dialled before answer %d", conn, len(s.dialed), i+1)
					}
					s.dialed[i].Feed(answers[a])
					s.step()
				}
				s.check(conn, strings.Join(at, " "), want)
				s.check(conn, s.news(), news)
			}
		})
	}
}

// TestSameSpread: connections to a server that spreads are not those to the same hosts if it does not.
func TestSameSpread(t *testing.T) {
	list := []resource.Host{{Name: "10.0.0.1", Port: 5432}, {Name: "10.0.0.2", Port: 5432}}
	target := func(spread bool) *Target {
		return &Target{Host: "10.0.0.1,10.0.0.2", Port: 5432, Server: hosts.Fixed(list, spread), Secret: NewSecret("u", "")}
	}
	if !target(true).Same(target(true)) || !target(false).Same(target(false)) || target(true).Same(target(false)) {
		t.Error("what is spread is not told apart")
	}
}
