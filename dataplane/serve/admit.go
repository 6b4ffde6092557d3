package serve

import (
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/auth"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/startup"
	"github.com/heliosproxy/heliosproxy/dataplane/state/admission"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// address is where the client comes from; not valid for one at a unix socket.
func (c *Conn) address() netip.Addr { return c.peer.IP.Addr().Unmap() }

// turnAway ends a connection that has one of the last file descriptors: an eighth of them is for servers, half of that for those
// who are told. The kernel gives out the lowest number that is free, so the number says how many there are.
func (c *Conn) turnAway() {
	reserve := c.hub.Files / 8
	fd := c.ep.Descriptor()
	if fd < c.hub.Files-reserve {
		return
	}
	full := &admission.Full{What: "for the files that it may open", Max: c.hub.Files - reserve, Keys: "how many files the process may open (ulimit -n, or LimitNOFILE of systemd)"}
	c.end(pgerr.New(pgerr.TooManyClients, full).WithHint(full.Hint()))
	if fd >= c.hub.Files-reserve/2 && c.phase == lingering {
		c.close()
	}
}

// busy says whether so many log-ins wait for a place to compute that one more would wait too long.
func (c *Conn) busy() bool {
	s := c.hub.Current()
	return s != nil && c.Loop().Group().Waiting() >= s.Admission.Waiting
}

// turnedAway refuses TLS to a client because others are at it: in clear text, which a client that has asked for TLS may be answered
// in, or by an alert (RFC 8446, 6) where it has begun.
func (c *Conn) turnedAway(begun *startup.Secure) error {
	if begun == nil {
		return pgerr.New(pgerr.LoginsBusy)
	}
	_ = c.ep.Send([]byte{21, 3, 1, 0, 2, 2, 80}) // fatal: internal_error
	return &handshakeError{pgerr.New(pgerr.LoginsBusy)}
}

// work does outside the loop what a step of the proof asks for.
func (c *Conn) work(t *reactor.Task, step auth.Step) error {
	f := func() (struct{}, error) { step.Work(); return struct{}{}, nil }
	if step.Stop != nil {
		defer step.Stop()
		_, err := reactor.AwaitWhile(t, c.alive, f)
		return c.lateLogin(err)
	}
	if !step.Computes {
		_, err := reactor.Offload(t, f)
		return c.lateLogin(err)
	}
	if c.busy() {
		return pgerr.New(pgerr.LoginsBusy)
	}
	_, err := reactor.Compute(t, f)
	return c.lateLogin(err)
}

// patience refuses a client whose address has to wait, before it is asked for anything.
func (c *Conn) patience(t *reactor.Task) error {
	wait := c.hub.Failures.Wait(t.Loop().Now(), c.address(), c.name, c.snap.Admission.Patience)
	if wait <= 0 {
		return nil
	}
	return pgerr.New(pgerr.TooManyFailures, c.hub.Failures.Whose(t.Loop().Now(), c.address(), c.name, c.snap.Admission.Patience), wait.Round(time.Second)+time.Second)
}

// noteFailure counts a wrong proof. That it could not be judged whether a proof is wrong is nobody's failure who logs in.
func (c *Conn) noteFailure(t *reactor.Task, err *pgerr.Error) {
	if err.ID == pgerr.NotJudged {
		c.hub.Log.Warn("cannot judge a log-in", zap.String("listener", c.door.Listener.Name), zap.String("user", c.name), zap.Error(err.Unwrap()))
	}
	if err.ID != pgerr.AuthenticationFailed {
		return
	}
	p := c.snap.Admission.Patience
	if c.hub.Failures.Failed(t.Loop().Now(), c.address(), c.name, p) {
		c.hub.Log.Warn("log-ins fail: from now on they wait", zap.Stringer("peer", c.peer), zap.String("user", c.name),
			zap.Int("max_failed_logins", p.Max), zap.Duration("within", p.Within))
	}
}

// noteSuccess forgets what the client's user has failed from there.
func (c *Conn) noteSuccess() {
	if c.login.exchange.Asked() {
		c.hub.Failures.Succeeded(c.address(), c.name)
	}
}
