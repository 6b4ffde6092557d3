package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// bench is a judge for tests: it has an answer for each password.
type bench struct {
	answers map[string]error
	claims  []Claim
	ctx     context.Context
}

func (b *bench) Judge(ctx context.Context, c Claim) error {
	b.claims, b.ctx = append(b.claims, c), ctx
	return b.answers[c.Password]
}

// TestJudged has passwords judged that the proxy knows nothing of.
func TestJudged(t *testing.T) {
	judge := &bench{answers: map[string]error{
		"wrong": fmt.Errorf("program: %w", ErrRefused), "busy": ErrBusy, "odd": errors.New("exit status 3"), "late": context.Canceled,
	}}
	rules, problems := hba.Parse("hba", []byte("hostssl all all all pam pamservice=helios\nhost shop all all pam\nlocal all all reject\n"), hba.Options{})
	if problems != nil {
		t.Fatal(problems)
	}
	all, ruled, named := &Door{Method: Judged, Judge: judge}, &Door{Rules: rules, Judge: judge}, &Door{Method: Judged, Named: true, Judge: judge}
	addr := netip.MustParseAddr("10.1.2.3")
	plain, tls := Client{User: "ann", Database: "shop", Addr: addr}, Client{User: "ann", Database: "shop", Addr: addr, TLS: true}
	unix, physical := Client{User: "ann", Database: "shop", Unix: true, Local: true}, Client{User: "ann", Addr: addr, TLS: true, Physical: true}
	for _, c := range []struct {
		name   string
		door   *Door
		client Client
		body   string
		want   string // of the outcome
		claim  string // empty: nobody is asked
	}{
		{"right", all, plain, "right\x00", "in", "ann shop 10.1.2.3 false postgresql right"},
		{"with TLS", all, tls, "right\x00", "in", "ann shop 10.1.2.3 true postgresql right"},
		{"at a unix socket", all, unix, "right\x00", "in", "ann shop invalid IP false postgresql right"},
		{"replication", all, physical, "right\x00", "in", "ann  10.1.2.3 true postgresql right"},
		{"a rule with a service", ruled, tls, "right\x00", "in", "ann shop 10.1.2.3 true helios right"},
		{"a rule without", ruled, plain, "right\x00", "in", "ann shop 10.1.2.3 false postgresql right"},
		{"and a certificate, which is not there", named, unix, "right\x00", "28P01", "ann shop invalid IP false postgresql right"},
		{"wrong", all, plain, "wrong\x00", "28P01", "ann shop 10.1.2.3 false postgresql wrong"},
		{"too many", all, plain, "busy\x00", "53300", "ann shop 10.1.2.3 false postgresql busy"},
		{"no judgement", all, plain, "odd\x00", "57P03", "ann shop 10.1.2.3 false postgresql odd"},
		{"nobody waits", all, plain, "late\x00", "57P03", "ann shop 10.1.2.3 false postgresql late"},
		{"empty", all, plain, "\x00", "28P01", ""},
		{"no end", all, plain, "right", "08P01", ""},
		{"more behind it", all, plain, "right\x00x", "08P01", ""},
	} {
		judge.claims, judge.ctx = nil, nil
		x, s := Begin(c.door, &c.client, "mock")
		if !s.Asks || s.Who || s.Done || s.Err != nil {
			t.Fatalf("%s: it begins with %+v", c.name, s)
		}
		request(t, s.Reply, 3)
		s = x.Step([]byte(c.body))
		if c.claim != "" {
			if s.Work == nil || s.Stop == nil || s.Computes {
				t.Fatalf("%s: the judge is asked in %+v", c.name, s)
			}
			s.Work()
			if judge.ctx.Err() != nil {
				t.Errorf("%s: the judge's context is over", c.name)
			}
			if s.Stop(); judge.ctx.Err() == nil {
				t.Errorf("%s: the judge's context goes on", c.name)
			}
			s = x.Resume()
		}
		claim := ""
		for _, q := range judge.claims {
			claim += fmt.Sprint(q.User, " ", q.Database, " ", q.Addr, " ", q.TLS, " ", q.Service, " ", q.Password)
		}
		if got := outcome(s); got != c.want || claim != c.claim {
			t.Errorf("%s: %s, and the judge is asked %q; want %s, %q", c.name, got, claim, c.want, c.claim)
		}
		if !x.Asked() || x.KeyOf != nil {
			t.Errorf("%s: asked for a secret: %t; a key: %v", c.name, x.Asked(), x.KeyOf)
		}
	}
}

// TestJudgedLikeOthers tells who is refused by a judge the same as who has given a wrong password, and never the password.
func TestJudgedLikeOthers(t *testing.T) {
	judge := &bench{answers: map[string]error{"c4n4ry": ErrRefused}}
	x, _ := Begin(&Door{Method: Judged, Judge: judge}, &Client{User: "ann"}, "mock")
	judged := work(x, x.Step(pgscript.Password("c4n4ry")[5:]))
	y, _ := begin(Password, "ann", user(t, "secret"))
	wrong := work(y, y.Step(pgscript.Password("c4n4ry")[5:]))
	if judged.Err == nil || wrong.Err == nil || judged.Err.Error() != wrong.Err.Error() || judged.Err.ID != pgerr.AuthenticationFailed {
		t.Errorf("%v, and for a wrong password %v", judged.Err, wrong.Err)
	}
	if s := fmt.Sprintf("%v %v", judged.Err, errors.Unwrap(judged.Err)); strings.Contains(s, "c4n4ry") {
		t.Errorf("the error has the password: %s", s)
	}
}
