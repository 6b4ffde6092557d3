// Package told follows what a client was told its statements return, and finds rows of another shape than that.
package told

import (
	"fmt"
	"strconv"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// Client is what one client was told. The zero Client was told nothing.
type Client struct {
	statements map[string][]uint32 // the types that the last Describe gave; none: not told
	parameters map[string]string   // the ParameterDescription that it gave
	portals    map[string]portal
}

// portal is what its client believes of it.
type portal struct {
	types  []uint32 // nil: not told
	binary bool     // not all values come as text
}

// Turn goes through what the client has sent and what came back for it, all of it, and returns what does not go together: "" if that is
// nothing. Where it loses the thread, as in COPY, it forgets what it knew.
func (c *Client) Turn(sent [][]byte, answers []pgscript.Message) (wrong string) {
	if c.statements == nil {
		c.forget()
	}
	a := follower{answers: answers}
	skips := false
	for _, raw := range sent {
		if len(raw) < 5 {
			c.forget()
			return ""
		}
		if skips && raw[0] != 'S' {
			continue
		}
		skips = false
		wrong, ok := c.message(raw[0], raw[5:], &a)
		switch {
		case wrong != "":
			return wrong
		case !ok && a.failed:
			a.failed, skips = false, raw[0] != 'Q' && raw[0] != 'F'
			if !skips && !a.through('Z') {
				c.forget()
				return ""
			}
		case !ok:
			c.forget()
			return ""
		}
	}
	return ""
}

func (c *Client) forget() {
	c.statements, c.parameters, c.portals = map[string][]uint32{}, map[string]string{}, map[string]portal{}
}

// message deals with one message. It says false where what came back is not what is expected: an error, which a has noted, or else.
func (c *Client) message(t byte, b body, a *follower) (wrong string, ok bool) {
	switch t {
	case 'P':
		if ok = a.is('1'); ok {
			name := b.name()
			delete(c.statements, name)
			delete(c.parameters, name)
		}
		return "", ok
	case 'B':
		if ok = a.is('2'); ok {
			name := b.name()
			p := portal{types: c.statements[b.name()]}
			b.take(2 * b.int(2))
			b.values()
			for n := b.int(2); n > 0; n-- {
				p.binary = p.binary || b.int(2) != 0
			}
			c.portals[name] = p
		}
		return "", ok
	case 'D':
		statement, name := b.int(1) == 'S', b.name()
		if statement {
			m, ok := a.next()
			if !ok || m.Type != 't' {
				return "", false
			}
			if was, told := c.parameters[name]; told && was != string(m.Body) {
				return fmt.Sprintf("parameters of the types %x where %x were told", m.Body, was), false
			}
			c.parameters[name] = string(m.Body)
		}
		types, ok := a.shape()
		switch {
		case ok && statement:
			c.statements[name] = types
		case ok:
			c.portals[name] = portal{types, c.portals[name].binary}
		}
		return "", ok
	case 'E':
		return c.portals[b.name()].rows(a)
	case 'C':
		return "", a.is('3')
	case 'S':
		return "", a.is('Z')
	case 'H':
		return "", true
	case 'Q':
		delete(c.statements, "")
		delete(c.parameters, "")
		return "", a.through('Z')
	}
	return "", false
}

// rows reads what an Execute is answered with.
func (p portal) rows(a *follower) (wrong string, ok bool) {
	for {
		m, ok := a.next()
		switch {
		case !ok:
			return "", false
		case m.Type == 'C', m.Type == 's', m.Type == 'I':
			return "", true
		case m.Type != 'D':
			return "", false
		}
		if p.types == nil {
			continue
		}
		b := body(m.Body)
		row := b.values()
		if len(row) != len(p.types) {
			return fmt.Sprintf("a row of %d values where %d were told", len(row), len(p.types)), false
		}
		for i, v := range row {
			if v != nil && !p.binary && !readable(p.types[i], string(v)) {
				return fmt.Sprintf("the value %q where the type with OID %d was told", v, p.types[i]), false
			}
		}
	}
}

// readable says whether a text is a value of a type. It knows integers.
func readable(oid uint32, v string) bool {
	if oid != 20 && oid != 21 && oid != 23 {
		return true
	}
	_, err := strconv.ParseInt(v, 10, 64)
	return err == nil
}

// follower reads answers in their order, without those that come whenever they like.
type follower struct {
	answers []pgscript.Message
	failed  bool // an error came where something else was expected
}

func (a *follower) next() (m pgscript.Message, ok bool) {
	for len(a.answers) > 0 {
		m, a.answers = a.answers[0], a.answers[1:]
		switch m.Type {
		case 'N', 'S', 'A':
			continue
		case 'E':
			a.failed = true
			return m, false
		}
		return m, true
	}
	return m, false
}

func (a *follower) is(t byte) bool {
	m, ok := a.next()
	return ok && m.Type == t
}

// through reads up to a message of a type, whatever comes in between, but for COPY.
func (a *follower) through(t byte) bool {
	for len(a.answers) > 0 {
		m, _ := a.next()
		if m.Type == t {
			a.failed = false
			return true
		}
		if m.Type == 'G' || m.Type == 'H' || m.Type == 'W' {
			break
		}
	}
	a.failed = false
	return false
}

// shape reads RowDescription or NoData, for which the types are empty.
func (a *follower) shape() (types []uint32, ok bool) {
	m, ok := a.next()
	if !ok || m.Type != 'T' && m.Type != 'n' {
		return nil, false
	}
	if m.Type == 'n' {
		return []uint32{}, true
	}
	b := body(m.Body)
	return b.types(), true
}
