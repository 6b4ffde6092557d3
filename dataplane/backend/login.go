package backend

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

var (
	errPanicked = errors.New("internal error while the connection was opened")
	errNothing  = errors.New("nothing arrived")
	errUnbound  = errors.New("channel_binding is require, and the server does not ask for SCRAM")
)

// open makes the connection and logs in.
func (c *Conn) open(t *reactor.Task) {
	if c.Target.Timeout > 0 {
		c.end = t.Loop().Now() + int64(c.Target.Timeout)
		t.SetDeadline(c.end)
	}
	err := c.reach(t)
	if err == nil {
		err = c.prepare(t)
	}
	t.SetDeadline(0)
	if err != nil {
		c.fail(c.inWords(err))
		return
	}
	c.phase, c.proof, c.routes = free, nil, nil
	c.Status = pgwire.Idle
	c.Since = t.Loop().Now()
	c.Ready = c.Since
	c.owner.Opened(c)
}

// fail gives up a connection that could not be opened.
func (c *Conn) fail(err error) {
	c.phase = closed
	c.End()
	if c.EP != nil {
		c.EP.Close()
	}
	c.owner.Failed(c, err)
}

// inWords makes an error of opening one that a client can be told.
func (c *Conn) inWords(err error) error {
	var e *pgerr.Error
	var se *pgwire.ServerError
	where := c.Target.server().String()
	if strings.HasPrefix(c.Target.Host, "/") {
		where = c.Target.Host
	}
	switch {
	case errors.As(err, &e), errors.As(err, &se):
		return err
	case errors.Is(err, reactor.ErrDeadline):
		return pgerr.New(pgerr.ServerUnreachable, where, "no answer within "+c.Target.Timeout.String()).Because(err)
	default:
		return pgerr.New(pgerr.ServerUnreachable, where, err.Error()).Because(err)
	}
}

// logIn says who we are and reads until the server is ready.
func (c *Conn) logIn(t *reactor.Task) error {
	params := []pgwire.Parameter{{Name: "user", Value: c.Target.User}, {Name: "database", Value: c.Target.Database}}
	if n := c.Target.ApplicationName; n != "" {
		params = append(params, pgwire.Parameter{Name: "application_name", Value: n})
	}
	params = append(params, c.Target.Startup...)
	err := c.EP.Send(pgwire.AppendStartup(nil, params...))
	if err != nil {
		return err
	}
	var exchange *scram.Client
	for {
		typ, body, err := c.message(t)
		if err != nil {
			return err
		}
		switch typ {
		case pgwire.Authentication:
			if exchange, err = c.answer(t, exchange, body); err != nil {
				return c.notLoggedIn(err)
			}
		case pgwire.BackendKeyData:
			if len(body) < 8 {
				return errors.New("malformed BackendKeyData")
			}
			c.PID = binary.BigEndian.Uint32(body)
			c.secret = append([]byte(nil), body[4:]...)
		case pgwire.ErrorResponse:
			se, err := pgwire.ReadError(body)
			if err != nil {
				return err
			}
			return se
		case pgwire.ReadyForQuery:
			return c.settle(t)
		case pgwire.ParameterStatus, pgwire.NoticeResponse:
		default:
			return fmt.Errorf("unexpected message %q during log-in", typ)
		}
	}
}

// notLoggedIn says that the proof has failed, where the connection has not.
func (c *Conn) notLoggedIn(err error) error {
	var e *pgerr.Error
	if errors.As(err, &e) || c.EP.Fault() != nil || errors.Is(err, reactor.ErrDeadline) || errors.Is(err, reactor.ErrStopped) {
		return err
	}
	return pgerr.New(pgerr.ServerAuthentication, c.Target.Node, c.Target.User, err.Error()).Because(err)
}

// answer does what an authentication request asks for.
func (c *Conn) answer(t *reactor.Task, exchange *scram.Client, body []byte) (*scram.Client, error) {
	if len(body) < 4 {
		return nil, errors.New("malformed authentication request")
	}
	code, data := binary.BigEndian.Uint32(body), body[4:]
	if c.Target.Binding == scram.Require {
		switch code {
		case pgwire.AuthSASL, pgwire.AuthSASLContinue, pgwire.AuthSASLFinal:
		case pgwire.AuthOK:
			if exchange == nil && !c.bound {
				return nil, errUnbound
			}
		default: // in the middle of SCRAM, too: who asks for a password then is not whom the exchange was begun with
			return nil, errUnbound
		}
	}
	s := c.Target.Secret
	if code != pgwire.AuthOK && code != pgwire.AuthSASLFinal && s.Finds() {
		data = bytes.Clone(data) // the loop's, until t parks
		var err error
		if s, err = c.find(t); err != nil {
			return nil, err
		}
	}
	hash := !s.found && pgmd5.IsHash(s.password)
	missing := func() error { return pgerr.New(pgerr.ServerPassword, c.Target.Node, s.For) }
	switch code {
	case pgwire.AuthOK:
		if exchange != nil {
			return nil, errors.New("the server has not proved that it knows the password")
		}
		return nil, nil
	case pgwire.AuthCleartext:
		if s.password == "" || hash {
			return nil, missing()
		}
		return nil, c.EP.Send(pgwire.Append(nil, pgwire.Password, append([]byte(s.password), 0)))
	case pgwire.AuthMD5:
		if s.password == "" || len(data) < 4 {
			return nil, missing()
		}
		h := s.password
		if !hash {
			h = pgmd5.Hash(h, c.Target.User)
		}
		return nil, c.EP.Send(pgwire.Append(nil, pgwire.Password, append([]byte(pgmd5.Salted(h, data[:4])), 0)))
	case pgwire.AuthSASL:
		if s.ring != nil && !s.ring.Has(s.owner) {
			return nil, c.noKey(keyring.ErrNone)
		}
		if s.ring == nil && (s.password == "" || hash) {
			return nil, missing()
		}
		cl, err := scram.NewClient(rand.Reader)
		if err != nil {
			return nil, err
		}
		mechanism, err := cl.Select(data, c.endPoint, c.Target.Binding)
		if err != nil {
			return nil, err
		}
		c.bound = mechanism == scram.MechanismPlus // which counts from the end of the exchange on
		first := cl.First()
		msg := append([]byte(mechanism), 0)
		msg = binary.BigEndian.AppendUint32(msg, uint32(len(first)))
		return cl, c.EP.Send(pgwire.Append(nil, pgwire.Password, append(msg, first...)))
	case pgwire.AuthSASLContinue:
		if exchange == nil {
			return nil, errors.New("SASL continues before it began")
		}
		salt, n, err := exchange.Salt(data)
		if err != nil {
			return nil, err
		}
		keys, key, err := s.find(t, salt, n)
		if errors.Is(err, keyring.ErrNone) || errors.Is(err, scram.ErrOtherVerifier) {
			return nil, c.noKey(err)
		}
		if err != nil {
			return nil, err
		}
		return exchange, c.EP.Send(pgwire.Append(nil, pgwire.Password, exchange.Final(key, keys.ServerKey)))
	case pgwire.AuthSASLFinal:
		if exchange == nil {
			return nil, errors.New("SASL ends before it began")
		}
		return nil, exchange.Verify(data)
	default:
		return nil, fmt.Errorf("the server asks for authentication method %d, which the proxy does not know", code)
	}
}

// noKey says that there is neither a password nor a key.
func (c *Conn) noKey(err error) error {
	e := pgerr.New(pgerr.ServerKey, c.Target.Node, c.Target.Secret.For, err.Error()).Because(err)
	if errors.Is(err, scram.ErrOtherVerifier) {
		e = e.WithHint("What auth_query, auth_file or users.password has for the user must be the verifier that this server stores, not an old copy or another server's. After a change of the password log in again, or set server_password.")
	}
	return e
}
