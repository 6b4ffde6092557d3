package auth

import (
	"context"
	"errors"
	"net/netip"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// Judge knows whether a password is a user's, where the proxy has no secret to hold it against. Any goroutine may use it. It may take
// its time, and bounds by itself how many do that at once.
type Judge interface {
	// Judge returns nil for a right password. An error that is [ErrRefused] says that it is wrong or that there is no such user, one
	// that is [ErrBusy] that too many are judged already, and any other one that it could not be judged. No error holds the password.
	// With ctx's end nobody waits for the answer any more.
	Judge(ctx context.Context, c Claim) error
}

// Errors of a Judge.
var (
	ErrRefused = errors.New("refused")
	ErrBusy    = errors.New("too many log-ins are judged")
)

// Claim is who a client says it is, and what it gives for a proof.
type Claim struct {
	User     string
	Database string     // empty for physical replication
	Addr     netip.Addr // not valid for a client at a unix socket
	TLS      bool
	Service  string // of PAM, as the rule has it
	Password string // in clear text, never empty
}

// service is what PostgreSQL tells PAM where the rule says nothing.
const service = "postgresql"

var errEmpty = errors.New("the password is empty")

// judged has a password judged. One that is empty is nobody's: to directories it means that nobody logs in.
func (x *Exchange) judged(password string) Step {
	if password == "" {
		return Step{Err: x.denied(errEmpty)}
	}
	c := x.client
	claim := Claim{User: c.User, Database: c.Database, Addr: c.Addr, TLS: c.TLS, Service: x.rule.service, Password: password}
	if claim.Service == "" {
		claim.Service = service
	}
	ctx, stop := context.WithCancel(context.Background())
	var err error
	s := x.after(func() { err = x.door.Judge.Judge(ctx, claim) }, func() Step { return x.sentence(err) })
	s.Stop = stop
	return s
}

// sentence is what follows from a judgement.
func (x *Exchange) sentence(err error) Step {
	switch {
	case err == nil:
		return x.done(nil)
	case errors.Is(err, ErrRefused):
		return Step{Err: x.denied(err)}
	case errors.Is(err, ErrBusy):
		return Step{Err: pgerr.New(pgerr.LoginsBusy).Because(err)}
	}
	return Step{Err: pgerr.New(pgerr.NotJudged).Because(err)}
}
