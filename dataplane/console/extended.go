package console

import (
	"encoding/binary"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

func (s *Session) parse(body []byte) {
	name, rest, ok := text(body)
	sql, rest, ok2 := text(rest)
	if !ok || !ok2 || len(rest) < 2 {
		s.malformed()
		return
	}
	commands, err := split(sql)
	var c *command
	switch {
	case err != nil:
	case len(commands) > 1:
		err = pgerr.New(pgerr.ConsoleSyntax, "a prepared statement has one command")
	case len(commands) == 1:
		c, err = read(commands[0])
	default:
		c = &command{} // empty
	}
	if _, has := s.statements[name]; err == nil && has && name != "" {
		err = pgerr.New(pgerr.ConsoleStatement, name)
	}
	if s.held += len(name) + 64; err == nil && s.held > maxMessage {
		err = pgerr.New(pgerr.ConsoleSyntax, "too much is prepared")
	}
	if err != nil {
		s.fail(err)
		return
	}
	s.statements[name] = c
	s.answer = pgwire.Append(s.answer, pgwire.ParseComplete, nil)
}

func (s *Session) bind(body []byte) {
	as, rest, ok := text(body)
	name, rest, ok2 := text(rest)
	if !ok || !ok2 {
		s.malformed()
		return
	}
	c := s.statements[name]
	if c == nil {
		s.fail(pgerr.New(pgerr.ConsoleNoStatement, name))
		return
	}
	_, rest, ok = formats(rest)
	if !ok || len(rest) < 2 {
		s.malformed()
		return
	}
	if binary.BigEndian.Uint16(rest) != 0 {
		s.fail(pgerr.New(pgerr.ConsoleSyntax, "a command of the console has no parameters"))
		return
	}
	fs, _, ok := formats(rest[2:])
	if !ok {
		s.malformed()
		return
	}
	if n := len(c.columns); n > 0 && len(fs) > 1 && len(fs) != n {
		s.fail(pgerr.New(pgerr.ConsoleFormats, len(fs), n))
		return
	}
	s.portals[as] = &portal{command: c, formats: fs}
	s.answer = pgwire.Append(s.answer, pgwire.BindComplete, nil)
}

// text reads a string that a zero byte ends.
func text(p []byte) (s string, rest []byte, ok bool) {
	b, rest, ok := pgwire.CString(p)
	return string(b), rest, ok
}

// formats reads a list of format codes.
func formats(p []byte) (all []uint16, rest []byte, ok bool) {
	if len(p) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(p))
	if p = p[2:]; len(p) < 2*n {
		return nil, nil, false
	}
	for i := range n {
		all = append(all, binary.BigEndian.Uint16(p[2*i:]))
	}
	return all, p[2*n:], true
}

// named reads a message that names a statement or a portal.
func named(body []byte) (what byte, name string, ok bool) {
	if len(body) < 2 || body[0] != 'S' && body[0] != 'P' {
		return 0, "", false
	}
	name, _, ok = text(body[1:])
	return body[0], name, ok
}

func (s *Session) describe(body []byte) {
	what, name, ok := named(body)
	if !ok {
		s.malformed()
		return
	}
	var c *command
	var fs []uint16
	if what == 'S' {
		c = s.statements[name]
	} else if p := s.portals[name]; p != nil {
		c, fs = p.command, p.formats
	}
	if c == nil {
		id := pgerr.ConsoleNoPortal
		if what == 'S' {
			id = pgerr.ConsoleNoStatement
		}
		s.fail(pgerr.New(id, name))
		return
	}
	if what == 'S' {
		s.answer = pgwire.Append(s.answer, pgwire.ParameterDescription, []byte{0, 0})
	}
	if c.columns == nil {
		s.answer = pgwire.Append(s.answer, pgwire.NoData, nil)
		return
	}
	s.answer = appendDescription(s.answer, c.columns, fs)
}

func (s *Session) execute(body []byte) *Job {
	name, rest, ok := text(body)
	if !ok || len(rest) < 4 {
		s.malformed()
		return nil
	}
	limit := int(int32(binary.BigEndian.Uint32(rest)))
	p := s.portals[name]
	switch {
	case p == nil:
		s.fail(pgerr.New(pgerr.ConsoleNoPortal, name))
	case p.command.tag == "":
		s.answer = pgwire.Append(s.answer, pgwire.EmptyQueryResponse, nil)
	case p.ran:
		s.send(p, limit)
	default:
		if err := s.allowed(p.command); err != nil {
			s.fail(err)
			return nil
		}
		return &Job{command: p.command, desk: s.desk, portal: p, limit: limit}
	}
	return nil
}

func (s *Session) close(body []byte) {
	what, name, ok := named(body)
	if !ok {
		s.malformed()
		return
	}
	if what == 'S' {
		delete(s.statements, name)
	} else {
		delete(s.portals, name)
	}
	s.answer = pgwire.Append(s.answer, pgwire.CloseComplete, nil)
}

// send sends rows of a portal, as many as are wanted.
func (s *Session) send(p *portal, limit int) {
	n := len(p.rows)
	if limit > 0 {
		n = min(n, limit)
	}
	for i := range p.command.columns {
		if f := formatOf(p.formats, i); n > 0 && f > binaryFormat {
			s.fail(pgerr.New(pgerr.ConsoleFormat, f))
			return
		}
	}
	for _, row := range p.rows[:n] {
		s.answer = appendRow(s.answer, p.command.columns, p.formats, row)
	}
	if p.rows = p.rows[n:]; len(p.rows) > 0 {
		s.answer = pgwire.Append(s.answer, pgwire.PortalSuspended, nil)
		return
	}
	s.answer = pgwire.AppendTag(s.answer, p.command.tag)
}
