package backend

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// maxAnswer bounds a message that the proxy reads for itself, and so the value of a parameter that a session sets.
const maxAnswer = 64 << 20

// tryMessage returns the next whole message that the server sent, errNothing where none is there. It
// notes parameters. The body is valid until the next call.
func (c *Conn) tryMessage() (typ byte, body []byte, err error) {
	for {
		if p := c.in[c.inAt:]; len(p) >= pgwire.HeaderSize {
			n := pgwire.Body(p)
			if n < 0 || n > maxAnswer {
				return 0, nil, fmt.Errorf("message %q of %d bytes from the server", p[0], n)
			}
			if len(p) >= pgwire.HeaderSize+n {
				c.inAt += pgwire.HeaderSize + n
				typ, body = p[0], p[pgwire.HeaderSize:pgwire.HeaderSize+n]
				if typ == pgwire.ParameterStatus {
					if name, rest, ok := pgwire.CString(body); ok {
						value, _, _ := pgwire.CString(rest)
						c.SetParam(name, value)
					}
				}
				return typ, body, nil
			}
		}
		if c.inAt == len(c.in) {
			c.in, c.inAt = nil, 0
		}
		p, err := c.EP.TryRecv()
		if err != nil {
			return 0, nil, err
		}
		if p == nil {
			return 0, nil, errNothing
		}
		if c.inAt > 0 {
			c.in, c.inAt = c.in[:copy(c.in, c.in[c.inAt:])], 0
		}
		c.in = append(c.in, p...)
	}
}

// message is tryMessage that parks t until there is one.
func (c *Conn) message(t *reactor.Task) (byte, []byte, error) {
	for {
		typ, body, err := c.tryMessage()
		if err != errNothing {
			return typ, body, err
		}
		if err := t.Park(); err != nil {
			return 0, nil, err
		}
	}
}

// Exchange sends sql as a Query of the proxy's own and reads to its end. The connection must owe
// nothing. row, which may be nil, gets each column of each row; nil is NULL. A refusal by the server is
// refused; err means that the connection is of no more use.
func (c *Conn) Exchange(t *reactor.Task, sql string, row func(i int, v []byte)) (refused *pgwire.ServerError, err error) {
	c.Held.Unnamed = 0 // a Query ends it
	return c.exchange(t, pgwire.AppendQuery(nil, sql), row)
}

// Question asks sql, whose one parameter is the text arg, as Exchange does.
func (c *Conn) Question(t *reactor.Task, sql, arg string, row func(i int, v []byte)) (refused *pgwire.ServerError, err error) {
	c.Held.Unnamed = 0
	msgs := pgwire.AppendParse(nil, "", append([]byte(sql), 0, 0, 0))
	msgs = pgwire.AppendBindText(msgs, "", "", []byte(arg))
	msgs = pgwire.AppendExecute(msgs, "")
	return c.exchange(t, pgwire.AppendSync(msgs), row)
}

// exchange sends messages that are answered with one ReadyForQuery, and reads to that.
func (c *Conn) exchange(t *reactor.Task, msgs []byte, row func(i int, v []byte)) (refused *pgwire.ServerError, err error) {
	if err := c.EP.Send(msgs); err != nil {
		return nil, err
	}
	for {
		typ, body, err := c.message(t)
		if err != nil {
			return refused, err
		}
		switch typ {
		case pgwire.NotificationResponse:
			c.overhear(body)
		case pgwire.ErrorResponse:
			if refused, err = pgwire.ReadError(body); err != nil {
				return nil, err
			}
			if refused.Severity != "ERROR" {
				return nil, refused
			}
		case pgwire.DataRow:
			if row != nil && !pgwire.Row(body, row) {
				return nil, errors.New("malformed DataRow")
			}
		case pgwire.ReadyForQuery:
			if len(body) != 1 {
				return nil, errors.New("malformed ReadyForQuery")
			}
			c.Status = body[0]
			return refused, c.settle(t)
		}
	}
}

// settle reads on until no message is left in pieces, so that a relay can take the stream over.
func (c *Conn) settle(t *reactor.Task) error {
	for c.in != nil && c.inAt < len(c.in) {
		typ, body, err := c.message(t)
		if err != nil {
			return err
		}
		if typ == pgwire.NotificationResponse {
			c.overhear(body)
		}
	}
	c.in, c.inAt = nil, 0
	return nil
}

// overhear keeps a notification that came into an answer for the proxy.
func (c *Conn) overhear(body []byte) {
	c.overheard = pgwire.Append(c.overheard, pgwire.NotificationResponse, body)
}

// Overheard returns the notifications that came while the proxy asked the server something, as messages, and forgets them: they
// are for the session that has the connection.
func (c *Conn) Overheard() []byte {
	p := c.overheard
	c.overheard = nil
	return p
}

// Apply brings the connection to the settings want. A refusal leaves it as it was.
func (c *Conn) Apply(t *reactor.Task, want settings.Set) (*pgwire.ServerError, error) {
	if c.Settings == want {
		return nil, nil
	}
	refused, err := c.Exchange(t, string(settings.AppendChange(nil, c.Settings, want)), nil)
	if refused == nil && err == nil {
		c.Settings = want
	}
	return refused, err
}

// TakeOver is Apply for the session owner, before which another one may have had the connection: what that has
// left is taken away too.
func (c *Conn) TakeOver(t *reactor.Task, want settings.Set, owner, sequences uint64) (*pgwire.ServerError, error) {
	sql := settings.AppendTakeOver(nil, c.Settings, want, c.Away(owner, sequences))
	if len(sql) == 0 {
		return nil, nil
	}
	refused, err := c.Exchange(t, string(sql), nil)
	if refused == nil && err == nil {
		c.Settings = want
	}
	c.overheard = nil // it was for the session before
	return refused, err
}

// Ask returns the present values of the named parameters: those that have their default are in reset. So are those that the user of the
// connection could not set, which no other connection can be brought to: for these, holds is pin.Unknown.
func (c *Conn) Ask(t *reactor.Task, names []string) (set []settings.Pair, reset []string, holds pin.Set, err error) {
	var name, value string
	var null bool
	var high []string // it takes a superuser, or a grant, to set these
	refused, err := c.own(t, settings.AppendAsk(nil, names), func(i int, v []byte) {
		switch i {
		case 0:
			name = string(v)
		case 1:
			value, null = string(v), v == nil
		case 2:
			def := null || string(v) == "t"
			switch name {
			case "role":
				def = value == "none"
			case "session_authorization":
				def = value == c.Target.User
			}
			if def {
				reset = append(reset, name)
			} else {
				set = append(set, settings.Pair{Name: name, Value: value})
			}
			if string(v) == "s" {
				high = append(high, name)
			}
		}
	})
	if err == nil && refused == nil && len(high) > 0 {
		refused, err = c.own(t, settings.AppendAskBound(nil, high, c.Target.User, c.grants()), func(_ int, v []byte) {
			set = slices.DeleteFunc(set, func(p settings.Pair) bool { return p.Name == string(v) })
			reset, holds = append(reset, string(v)), pin.Unknown
		})
	}
	if err == nil && refused != nil {
		err = refused
	}
	return set, reset, holds, err
}

// grants says whether the server has privileges for parameters, as from PostgreSQL 15 on.
func (c *Conn) grants() bool {
	v := c.Param("server_version")
	major, err := strconv.Atoi(v[:len(v)-len(strings.TrimLeft(v, "0123456789"))])
	return err == nil && major >= 15
}

// Planner returns what of the settings parse analysis and planning read now, as settings.AppendPlanner has it.
func (c *Conn) Planner(t *reactor.Task) (now []byte, refused *pgwire.ServerError, err error) {
	refused, err = c.own(t, settings.AppendPlanner(nil), func(_ int, v []byte) { now = append([]byte(nil), v...) })
	return now, refused, err
}

// own runs a query under a name of its own, so that the session's unnamed statement stays.
func (c *Conn) own(t *reactor.Task, sql []byte, row func(i int, v []byte)) (*pgwire.ServerError, error) {
	const own = "helios: ask"
	msgs := pgwire.AppendNamed(nil, pgwire.Close, 'S', own) // where the last one was cut off
	msgs = pgwire.AppendParse(msgs, own, append(sql, 0, 0, 0))
	msgs = pgwire.AppendBind(msgs, own, own)
	msgs = pgwire.AppendExecute(msgs, own)
	msgs = pgwire.AppendNamed(msgs, pgwire.Close, 'S', own)
	msgs = pgwire.AppendSync(msgs)
	return c.exchange(t, msgs, row)
}

// Reset makes the connection as if it had just been opened.
func (c *Conn) Reset(t *reactor.Task) error {
	sql := "DISCARD ALL"
	if c.Status != pgwire.Idle {
		if refused, err := c.Exchange(t, "ROLLBACK", nil); err != nil || refused != nil {
			return errors.Join(err, asError(refused))
		}
	}
	refused, err := c.Exchange(t, sql, nil)
	if err != nil || refused != nil {
		return errors.Join(err, asError(refused))
	}
	c.Settings, c.Tainted, c.Foreign = settings.Set{}, false, 0
	c.overheard = nil // it was for the session that is gone
	c.Held.Clear()
	return c.prepare(t)
}

// prepare runs what is to be run on a connection before anybody gets it who uses it for a session.
func (c *Conn) prepare(t *reactor.Task) error {
	if c.Target.ConnectQuery == "" || c.Target.ApplicationName != "" || c.Target.Startup != nil {
		return nil
	}
	refused, err := c.Exchange(t, c.Target.ConnectQuery, nil)
	switch {
	case err != nil:
		return err
	case refused != nil:
		return pgerr.New(pgerr.ConnectQuery, c.Target.Node, refused.Message).Because(refused)
	case c.Status != pgwire.Idle:
		return pgerr.New(pgerr.ConnectQuery, c.Target.Node, "it leaves a transaction open")
	}
	return nil
}

func asError(e *pgwire.ServerError) error {
	if e == nil {
		return nil
	}
	return e
}
