package entry

import (
	"fmt"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// verdict is what becomes of a client.
type verdict string

const (
	letIn   verdict = "let in"
	asked   verdict = "asked"
	refused verdict = "refused"
	unknown verdict = "not known"
)

// trial is what becomes of a client, and why.
type trial struct {
	door    *door
	request *hba.Request
	before  []hba.Step // rules that do not fit
	rule    *hba.Step  // the one that does; nil: none
	verdict verdict
	reason  string   // why it is refused or not known; else what a listener without rules does
	asks    []string // what it is asked for
}

// demand is what a rule or a listener asks of a client.
type demand struct {
	method hba.Method
	plus   bool // SCRAM bound to the connection, and nothing else
	names  string
	cert   hba.ClientCert
	dn     bool
	san    bool
}

// try says what becomes of a client. as is who its certificate or the operating system says it is, if hasAs.
func (d *door) try(q *hba.Request, as string, hasAs bool) (*trial, error) {
	t := &trial{door: d, request: q}
	switch {
	case d.resource && !d.unix && q.TLS && !d.tls.Offered():
		return t.end(refused, fmt.Sprintf("%s speaks no TLS (spec.tls), so a client that insists on it ends; others come without --tls", d.name)), nil
	case d.resource && !d.unix && !q.TLS && d.tls.Required():
		return t.end(refused, fmt.Sprintf("%s takes no clear text: its tls.mode is %s; with TLS the client comes with --tls", d.name, d.tls)), nil
	case d.rules == nil:
		ask, ok := d.method(t)
		if ok {
			t.demand(ask, as, hasAs)
		}
		return t, nil
	}
	steps, err := d.rules.Explain(q)
	t.before = steps
	if n := len(steps); n > 0 && steps[n-1].Fits {
		t.before, t.rule = steps[:n-1], &steps[n-1]
	}
	switch {
	case err != nil && q.HostName == nil:
		return t.end(unknown, err.Error()+": give it by --hostname NAME, or --hostname '' if the address has none"), nil
	case err != nil:
		return t.end(unknown, err.Error()), nil
	case t.rule == nil:
		return t.end(refused, fmt.Sprintf("no rule of %s fits: no pg_hba.conf entry for %s", d.name, where(q))), nil
	case t.rule.Rule.Method == hba.Reject:
		return t.end(refused, "the rule rejects whom it fits"), nil
	}
	r := t.rule.Rule
	t.demand(demand{method: r.Method, names: r.Map, cert: r.ClientCert, dn: r.ClientDN, san: r.ClientSAN}, as, hasAs)
	return t, nil
}

func (t *trial) end(v verdict, reason string) *trial {
	t.verdict, t.reason, t.asks = v, reason, nil
	return t
}

// where is how PostgreSQL tells a client that no rule fits.
func where(q *hba.Request) string {
	s := `host "[local]"`
	if !q.Local {
		s = fmt.Sprintf("host %q", q.Addr)
	}
	s += fmt.Sprintf(", user %q", q.User)
	if q.Replication {
		s = "replication connection from " + s
	} else {
		s += fmt.Sprintf(", database %q", q.Database)
	}
	if q.TLS {
		return s + ", SSL encryption"
	}
	return s + ", no encryption"
}

// method is what a listener without rules asks; ok is false if t has ended.
func (d *door) method(t *trial) (ask demand, ok bool) {
	q := t.request
	says := func(s string) { t.reason = fmt.Sprintf("%s has no rules, and its auth is %s", d.name, s) }
	if d.silent {
		says = func(s string) {
			t.reason = fmt.Sprintf("%s has neither rules nor auth, and there are users, so it is %s", d.name, s)
		}
	}
	switch d.auth {
	case heliosv1.AuthMethod_AUTH_METHOD_TRUST:
		says("trust: everybody is let in under any name")
		return demand{method: hba.Trust}, true
	case heliosv1.AuthMethod_AUTH_METHOD_PASSWORD:
		says("password")
		return demand{method: hba.Password}, true
	case heliosv1.AuthMethod_AUTH_METHOD_MD5:
		says("md5")
		return demand{method: hba.MD5}, true
	case heliosv1.AuthMethod_AUTH_METHOD_SCRAM:
		says("scram")
		return demand{method: hba.SCRAM}, true
	case heliosv1.AuthMethod_AUTH_METHOD_SCRAM_PLUS:
		says("scram-plus")
		if !q.TLS {
			t.end(refused, t.reason+", which needs TLS")
			return demand{}, false
		}
		return demand{method: hba.SCRAM, plus: true}, true
	case heliosv1.AuthMethod_AUTH_METHOD_CERT:
		says("cert")
		if !q.TLS {
			t.end(refused, t.reason+", which needs TLS")
			return demand{}, false
		}
		return demand{method: hba.Cert, cert: hba.VerifyFull}, true
	case heliosv1.AuthMethod_AUTH_METHOD_PEER:
		says("peer")
		return demand{method: hba.Peer}, true
	case heliosv1.AuthMethod_AUTH_METHOD_PROGRAM:
		says("program")
		return demand{method: hba.PAM}, true
	}
	if q.Local || q.Addr.Unmap().IsLoopback() {
		says("not set: who comes by a unix socket or from a loopback address is let in under any name")
		return demand{method: hba.Trust}, true
	}
	says("not set: only who comes by a unix socket or from a loopback address is let in; set auth or hba")
	t.end(refused, t.reason)
	return demand{}, false
}

// demand says what the client is asked for, or that it cannot have it.
func (t *trial) demand(ask demand, as string, hasAs bool) {
	q, d := t.request, t.door
	t.verdict = asked
	if d.resource && !d.unix && d.tls == tlsconf.VerifyFull {
		ask.cert = hba.VerifyFull
	} else if d.resource && !d.unix && d.tls == tlsconf.VerifyCA && ask.cert == "" {
		ask.cert = hba.VerifyCA
	}
	bare := map[bool]string{false: ", which everybody in between can read without TLS"}[q.TLS || q.Local]
	switch ask.method {
	case hba.Password:
		t.ask("its password in clear text" + bare)
	case hba.PAM:
		t.ask("its password in clear text" + bare + "; " + judgeOf(d) + " says whether it is right")
	case hba.MD5:
		t.ask("a proof by SCRAM-SHA-256 if the user's secret is a verifier, else an answer to an MD5 challenge")
	case hba.SCRAM:
		switch {
		case ask.plus:
			t.ask("a proof by SCRAM-SHA-256-PLUS, bound to the TLS connection")
		case q.TLS:
			t.ask("a proof by SCRAM-SHA-256, which may be bound to the TLS connection (PLUS)")
		default:
			t.ask("a proof by SCRAM-SHA-256")
		}
	case hba.Peer:
		t.named("that the operating system knows who is at the socket as", ask.names, as, hasAs)
	}
	name := "common name (CN)"
	switch {
	case ask.dn:
		name = "whole subject (DN, as helioctl cert inspect shows it)"
	case ask.san:
		name = "alternative name (SAN), or one of them,"
	}
	switch {
	case t.verdict == refused:
	case ask.cert == hba.VerifyFull:
		t.named("a certificate that the listener's ca_file is good for, whose "+name+" is", ask.names, as, hasAs)
	case ask.cert == hba.VerifyCA:
		t.ask("a certificate that the listener's ca_file is good for, of whomever")
	}
	if t.verdict == asked && len(t.asks) == 0 {
		t.verdict = letIn
	}
}

// judgeOf names who judges passwords at a door.
func judgeOf(d *door) string {
	if d.resource {
		return "the listener's program (spec.program)"
	}
	return "auth.program, without which the rule is refused,"
}

func (t *trial) ask(what string) { t.asks = append(t.asks, what) }

// named asks for somebody's name, which must be the user's or one that a map lets be the user.
func (t *trial) named(what, usermap, as string, hasAs bool) {
	user, maps := t.request.User, t.door.maps
	switch {
	case usermap != "" && !maps.Has(usermap):
		t.end(refused, fmt.Sprintf("there is no user name map %q: nobody is let in by it", usermap))
	case hasAs && !maps.Allows(usermap, as, user, nil) && usermap == "":
		t.end(refused, fmt.Sprintf("%q is not %q, and the rule has no map", as, user))
	case hasAs && !maps.Allows(usermap, as, user, nil):
		t.end(refused, fmt.Sprintf("the user name map %q does not let %q be %q", usermap, as, user))
	case usermap == "":
		t.ask(fmt.Sprintf("%s %q", what, user))
	case hasAs:
		t.ask(fmt.Sprintf("%s %q, whom the user name map %q lets be %q", what, as, usermap, user))
	default:
		t.ask(fmt.Sprintf("%s somebody whom the user name map %q lets be %q: --as NAME says whether NAME is", what, usermap, user))
	}
}

// object is the trial for programs.
func (t *trial) object(verbose bool) any {
	step := func(s *hba.Step) any {
		if s == nil {
			return nil
		}
		return output.Object("file", s.Rule.File, "line", s.Rule.Line, "text", s.Rule.String(), "method", string(s.Rule.Method), "why", s.Why)
	}
	asks := t.asks
	if asks == nil {
		asks = []string{}
	}
	o := output.Object("verdict", string(t.verdict), "reason", t.reason, "rule", step(t.rule), "asks", asks)
	if verbose {
		before := []any{}
		for i := range t.before {
			before = append(before, step(&t.before[i]))
		}
		o = append(o, "before", before)
	}
	return o
}
