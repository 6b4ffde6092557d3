// Package auth finds out whether a client is who it says. It never does I/O and never waits: a step takes a message and gives the bytes to send, and what would hold up a loop is handed back as work for a goroutine.
package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"

	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// Step is what an exchange wants next.
type Step struct {
	Reply []byte // to be sent
	// Done says that the client is who it says. Reply goes together with what follows.
	Done bool
	// Work, if set, is done outside the loop; then Resume is called. Computes says that it takes a processor's time, and does not wait.
	Work     func()
	Computes bool
	// Stop, if set, says that Work mostly waits, and that what judges bounds by itself how many do. It ends the wait, and is called in
	// any case, once or more.
	Stop func()
	// Asks says that Reply asks for a secret of a user who is not looked up. Who has to wait is refused before.
	Asks bool
	// Who says that the user is to be looked up; then Knows is called.
	Who bool
	Err *pgerr.Error
}

// Exchange is the proof of one client. The zero Exchange is not one.
type Exchange struct {
	door      *Door
	client    *Client
	rule      rule
	user      *users.User // nil: there is no such user, which the client must not notice
	mock      string
	salt      [4]byte
	server    *scram.Server
	first     []byte // the client's, while the keys are made
	mechanism string
	resume    func() Step // goes on behind a Work
	proved    bool        // the work's outcome
	given     []byte      // the password message, where another secret may be held against it
	phase     uint8
	chosen    bool // the client has named a mechanism and said nothing yet

	// Key is what a client that was let in has proved to have, where its user's secret is a SCRAM verifier, and KeyOf are the keys
	// that it belongs to; else that is nil.
	Key   scram.ClientKey
	KeyOf *scram.Keys
}

// Begin decides what a client is to prove, and asks for it. mockSecret is what unknown users' salts are made from.
func Begin(d *Door, c *Client, mockSecret string) (*Exchange, Step) {
	x := &Exchange{door: d, client: c, mock: mockSecret}
	if !d.blocks() {
		return x, x.ask(d.decide(c))
	}
	var r rule
	var err *pgerr.Error
	return x, x.after(func() { r, err = d.decide(c) }, func() Step { return x.ask(r, err) })
}

// after has work done outside the loop, and goes on then.
func (x *Exchange) after(work func(), then func() Step) Step {
	x.resume = then
	return Step{Work: work}
}

// compute is after for what takes a processor's time.
func (x *Exchange) compute(work func(), then func() Step) Step {
	s := x.after(work, then)
	s.Computes = true
	return s
}

// Resume goes on after the work was done.
func (x *Exchange) Resume() Step { return x.resume() }

// ask does what the rule says as far as it needs nobody's secret.
func (x *Exchange) ask(r rule, err *pgerr.Error) Step {
	if err != nil {
		return Step{Err: err}
	}
	x.rule = r
	switch c := x.client; r.method {
	case Trust:
		return x.done(nil)
	case Reject:
		return Step{Err: refused(c)}
	case LocalOnly:
		if c.Local {
			return x.done(nil)
		}
		return Step{Err: pgerr.New(pgerr.DoorClosed)}
	case Cert:
		return x.done(nil) // its certificate is looked at there
	case Peer:
		return x.peer()
	case Judged:
		return Step{Asks: true, Reply: pgwire.AppendAuthentication(nil, pgwire.AuthCleartext, nil)}
	}
	return Step{Who: true}
}

// Asked says whether the client was asked for a secret.
func (x *Exchange) Asked() bool { return x.rule.method.asks() }

// Trusted says that the client was let in for where it comes from, and has proved nothing.
func (x *Exchange) Trusted() bool { return x.rule.method == Trust || x.rule.method == LocalOnly }

// done lets the client in, if its certificate is what the rule demands.
func (x *Exchange) done(reply []byte) Step {
	if x.rule.cert == hba.VerifyFull && !x.door.certified(x.rule, x.client) {
		return Step{Err: x.denied(nil)}
	}
	return Step{Done: true, Reply: reply}
}

// peer asks the operating system who is at the other end of the socket.
func (x *Exchange) peer() Step {
	var name string
	var err error
	return x.after(func() { name, err = x.client.OSUser() }, func() Step {
		if err != nil || !x.door.allows(x.rule, name, x.client.User) {
			return Step{Err: x.denied(err)}
		}
		return x.done(nil)
	})
}

// denied says that the client has not proved who it is, for whatever reason, as PostgreSQL does.
func (x *Exchange) denied(cause error) *pgerr.Error {
	id := pgerr.AuthenticationFailed
	switch x.rule.method {
	case Trust, LocalOnly:
		id = pgerr.TrustFailed
	case Cert:
		id = pgerr.CertificateFailed
	case Peer:
		id = pgerr.PeerFailed
	}
	e := pgerr.New(id, x.client.User)
	if cause != nil {
		return e.Because(cause)
	}
	return e
}

// Knows takes who the user is, nil if there is none, and asks for a proof.
func (x *Exchange) Knows(u *users.User) Step {
	x.user = u
	switch x.rule.method {
	case Password:
		return Step{Reply: pgwire.AppendAuthentication(nil, pgwire.AuthCleartext, nil)}
	case MD5:
		if u == nil && x.door.Hashes || u != nil && !u.HasVerifier() {
			rand.Read(x.salt[:])
			return Step{Reply: pgwire.AppendAuthentication(nil, pgwire.AuthMD5, x.salt[:])}
		}
		x.rule.method = SCRAM
	}
	offer := scram.Offer(x.client.EndPoint)
	if x.rule.method == SCRAMPlus {
		if len(x.client.EndPoint) == 0 {
			return Step{Err: pgerr.New(pgerr.NothingToBind)}
		}
		offer = []byte(scram.MechanismPlus + "\x00\x00")
	}
	return Step{Reply: pgwire.AppendAuthentication(nil, pgwire.AuthSASL, offer)}
}

// Again goes on where a proof was wrong, with failed, and the user has been looked up anew. What the client has sent is held
// against the new secret; a proof of SCRAM is of the salt that it was told, so for that the client has to come again.
func (x *Exchange) Again(u *users.User, failed *pgerr.Error) Step {
	body := x.given
	if x.given = nil; body == nil || u == nil || u == x.user {
		return Step{Err: failed}
	}
	if x.rule.method == MD5 && u.HasVerifier() {
		return Step{Err: failed}
	}
	x.user = u
	return x.Step(body)
}

// Step takes the body of a password message.
func (x *Exchange) Step(body []byte) Step {
	if x.rule.method == Password || x.rule.method == MD5 {
		x.given = append([]byte(nil), body...)
	}
	switch x.rule.method {
	case Password, Judged:
		pw, rest, ok := pgwire.CString(body)
		switch {
		case !ok || len(rest) > 0:
			return Step{Err: pgerr.New(pgerr.ProtocolViolation, "invalid password packet size")}
		case x.rule.method == Judged:
			return x.judged(string(pw))
		}
		return x.password(string(pw))
	case MD5:
		return x.md5(body)
	default:
		return x.scram(body)
	}
}

// password holds a password against the user's secret. It takes as long for every user, there or not, as for one with a verifier.
func (x *Exchange) password(pw string) Step {
	u, keys := x.user, scram.MockKeys(x.mock, x.client.User)
	if u.HasVerifier() {
		keys = *u.Keys()
	}
	return x.compute(func() {
		made, key := scram.Derive(pw, keys.Salt, keys.Iterations)
		switch {
		case u == nil || u.Secret() == "" || pw == "":
		case u.HasVerifier():
			if x.proved = subtle.ConstantTimeCompare(made.StoredKey[:], keys.StoredKey[:]) == 1; x.proved {
				x.Key, x.KeyOf = key, u.Keys()
			}
		case u.HasMD5():
			x.proved = equal(pgmd5.Hash(pw, u.Name), u.Secret())
		default:
			x.proved = equal(pw, u.Secret())
		}
	}, x.judge)
}

// judge tells whether the password was the right one.
func (x *Exchange) judge() Step {
	if x.proved {
		return x.done(nil)
	}
	return Step{Err: x.denied(nil)}
}

func (x *Exchange) md5(body []byte) Step {
	u, stored := x.user, "md5"
	if u != nil && u.Secret() != "" {
		stored = u.Secret()
	}
	if !pgmd5.IsHash(stored) {
		stored = pgmd5.Hash(stored, x.client.User)
	}
	got, _, ok := pgwire.CString(body)
	same := equal(string(got), pgmd5.Salted(stored, x.salt[:]))
	x.proved = ok && same && u != nil && u.Secret() != ""
	return x.judge()
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// scram takes the two messages of a SCRAM exchange.
func (x *Exchange) scram(body []byte) Step {
	if x.chosen {
		x.chosen, x.first = false, body
		return x.begin()
	}
	x.phase++
	if x.phase > 1 {
		final, key, err := x.server.Final(body)
		if err != nil {
			return x.failed(err)
		}
		if x.user.HasVerifier() {
			x.Key, x.KeyOf = key, x.user.Keys()
		}
		return x.done(pgwire.AppendAuthentication(nil, pgwire.AuthSASLFinal, final))
	}
	mech, rest, ok := pgwire.CString(body)
	n := 0
	if ok = ok && len(rest) >= 4; ok {
		n = int(int32(binary.BigEndian.Uint32(rest)))
	}
	if !ok || x.rule.method == SCRAMPlus && string(mech) != scram.MechanismPlus || n != len(rest)-4 && (n != -1 || len(rest) > 4) {
		return Step{Err: pgerr.New(pgerr.ProtocolViolation, "malformed SASL initial response, or a mechanism that was not offered")}
	}
	x.first, x.mechanism = rest[4:], scram.Mechanism
	if string(mech) != scram.Mechanism {
		x.mechanism = string(mech)
	}
	if x.chosen = n == -1; x.chosen { // nothing was said yet: the client is asked to begin
		return Step{Reply: pgwire.AppendAuthentication(nil, pgwire.AuthSASLContinue, nil)}
	}
	return x.begin()
}

// begin takes the client's first message.
func (x *Exchange) begin() Step {
	u := x.user
	if u != nil && u.Secret() != "" && !u.HasMD5() && u.Keys() == nil {
		x.first = append([]byte(nil), x.first...) // the loop's, until it goes on to others
		return x.compute(func() { u.Stretch(x.mock) }, x.challenge)
	}
	return x.challenge()
}

// challenge answers the first message. A user who has no keys gets a challenge that nobody can meet.
func (x *Exchange) challenge() Step {
	var keys scram.Keys
	if x.user != nil && x.user.Keys() != nil {
		keys = *x.user.Keys()
	} else {
		keys = scram.MockKeys(x.mock, x.client.User)
	}
	x.server = scram.NewServer(keys, rand.Reader)
	if err := x.server.Select(x.mechanism, x.client.EndPoint); err != nil {
		return x.failed(err)
	}
	first, err := x.server.First(x.first)
	if err != nil {
		return x.failed(err)
	}
	return Step{Reply: pgwire.AppendAuthentication(nil, pgwire.AuthSASLContinue, first)}
}

// failed tells a wrong proof from a message that cannot be followed.
func (x *Exchange) failed(err error) Step {
	id := pgerr.ProtocolViolation
	switch {
	case errors.Is(err, scram.ErrFailed):
		return Step{Err: x.denied(err)}
	case errors.Is(err, scram.ErrNegotiation), errors.Is(err, scram.ErrBinding):
		id = pgerr.BindingFailed
	case errors.Is(err, scram.ErrUnsupported):
		id = pgerr.SASLUnsupported
	}
	return Step{Err: pgerr.New(id, err.Error()).Because(err)}
}
