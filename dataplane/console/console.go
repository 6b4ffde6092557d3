// Package console is the admin database that people know from PgBouncer: it reads the messages of a client, says what is to be done, and puts the outcome into messages. It never touches a pool or a session, and never waits: a [Desk] does, and whoever runs a [Job].
package console

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Rights are what somebody may do on the console.
type Rights int

// The rights.
const (
	None Rights = iota
	Look
	Everything
)

// Who is whom the log calls so who has the rights.
func (r Rights) Who() string {
	if r == Everything {
		return "an administrator"
	}
	return "somebody who may look at the console"
}

// ErrTerminated is returned where the client says goodbye.
var ErrTerminated = errors.New("the client has left the console")

// maxMessage bounds a message, and what a client may have prepared together.
const maxMessage = 64 << 10

// Session is the protocol machine of one client. It is for one goroutine at a time.
type Session struct {
	desk       Desk
	rights     Rights
	input      []byte
	queue      []*command // of the Query under way
	querying   bool
	skipping   bool // up to the next Sync
	statements map[string]*command
	portals    map[string]*portal
	held       int // bytes of what is prepared
	answer     []byte
	fault      error
}

// portal is a statement that can be run, or is being.
type portal struct {
	command *command
	formats []uint16
	ran     bool
	rows    [][]any // that are not sent yet
}

// Job is a command that is to be run.
type Job struct {
	command *command
	desk    Desk
	portal  *portal // nil: of a Query
	limit   int     // rows that are wanted; 0 is all
	rows    [][]any
	err     error
}

// Run does what the command says. It may take long; ctx ends it early. A desk that panics fails the command and nothing else.
func (j *Job) Run(ctx context.Context) {
	defer func() {
		if v := recover(); v != nil {
			j.rows, j.err = nil, pgerr.New(pgerr.ConsoleFailed, fmt.Sprint("internal error: ", v))
		}
	}()
	j.rows, j.err = j.command.run(ctx, j.desk)
}

// New makes the machine of a client that has logged in.
func New(d Desk, r Rights) *Session {
	return &Session{desk: d, rights: r, statements: map[string]*command{}, portals: map[string]*portal{}}
}

// Feed takes bytes of the client, which it copies.
func (s *Session) Feed(p []byte) { s.input = append(s.input, p...) }

// Next returns what the client is to be sent, and the job that is to be run then, or nil where more of the client is needed. After the
// job Done is called, and then Next. An error ends the session.
func (s *Session) Next() (answer []byte, job *Job, err error) {
	for s.fault == nil {
		if job = s.step(); job != nil {
			break
		}
		if s.idle() {
			break
		}
	}
	answer, s.answer = s.answer, nil
	return answer, job, s.fault
}

// idle says that nothing can be done before more has come.
func (s *Session) idle() bool {
	return !s.querying && (len(s.input) < pgwire.HeaderSize || len(s.input) < pgwire.HeaderSize+pgwire.Body(s.input))
}

// step deals with the next command of a Query, or the next message.
func (s *Session) step() *Job {
	if s.querying {
		return s.nextOfQuery()
	}
	if len(s.input) < pgwire.HeaderSize {
		return nil
	}
	n := pgwire.Body(s.input)
	if n < 0 || n > maxMessage {
		s.fault = pgerr.New(pgerr.ProtocolViolation, "a message of "+strconv.Itoa(n)+" bytes")
		return nil
	}
	end := pgwire.HeaderSize + n
	if len(s.input) < end {
		return nil
	}
	t, body := s.input[0], s.input[pgwire.HeaderSize:end]
	s.input = s.input[end:]
	if s.skipping && t != pgwire.Sync && t != pgwire.Terminate {
		return nil
	}
	return s.message(t, body)
}

func (s *Session) message(t byte, body []byte) *Job {
	switch t {
	case pgwire.Terminate:
		s.fault = ErrTerminated
	case pgwire.Query:
		sql, _, ok := text(body)
		if !ok {
			s.malformed()
			return nil
		}
		s.query(sql)
	case pgwire.Parse:
		s.parse(body)
	case pgwire.Bind:
		s.bind(body)
	case pgwire.Describe:
		s.describe(body)
	case pgwire.Execute:
		return s.execute(body)
	case pgwire.Close:
		s.close(body)
	case pgwire.Flush:
	case pgwire.Sync:
		s.skipping = false
		s.portals = map[string]*portal{}
		s.ready()
	default:
		s.fault = pgerr.New(pgerr.ProtocolViolation, "the console does not take a message of type "+strconv.QuoteRune(rune(t)))
	}
	return nil
}

func (s *Session) malformed() { s.fault = pgerr.New(pgerr.ProtocolViolation, "a malformed message") }

func (s *Session) ready() { s.answer = pgwire.AppendReady(s.answer, pgwire.Idle) }

// refuse tells an error.
func (s *Session) refuse(err error) {
	var pe *pgerr.Error
	if !errors.As(err, &pe) {
		pe = pgerr.New(pgerr.ConsoleFailed, err)
	}
	s.answer = pgwire.AppendError(s.answer, pe)
}

// fail is refuse in the extended protocol.
func (s *Session) fail(err error) {
	s.refuse(err)
	s.skipping = true
}

func (s *Session) allowed(c *command) error {
	if c.admin && s.rights < Everything {
		return pgerr.New(pgerr.ConsoleDenied, c.tag)
	}
	return nil
}

func (s *Session) query(sql string) {
	commands, err := split(sql)
	var all []*command
	for _, words := range commands {
		var c *command
		if c, err = read(words); err != nil {
			break
		}
		all = append(all, c)
	}
	if err != nil {
		s.refuse(err)
		s.ready()
		return
	}
	if len(all) == 0 {
		s.answer = pgwire.Append(s.answer, pgwire.EmptyQueryResponse, nil)
	}
	s.queue, s.querying = all, true
}

func (s *Session) nextOfQuery() *Job {
	if len(s.queue) == 0 {
		s.querying = false
		s.ready()
		return nil
	}
	c := s.queue[0]
	s.queue = s.queue[1:]
	if err := s.allowed(c); err != nil {
		s.refuse(err)
		s.queue = nil
		return nil
	}
	return &Job{command: c, desk: s.desk}
}

// Done takes the outcome of a job.
func (s *Session) Done(j *Job) {
	c := j.command
	switch {
	case j.err != nil && j.portal != nil:
		s.fail(j.err)
		return
	case j.err != nil:
		s.refuse(j.err)
		s.queue = nil
		return
	}
	if c.notice != nil {
		s.answer = pgwire.AppendNotice(s.answer, c.notice)
	}
	if j.portal != nil {
		j.portal.ran, j.portal.rows = true, j.rows
		s.send(j.portal, j.limit)
		return
	}
	if c.columns != nil {
		s.answer = appendDescription(s.answer, c.columns, nil)
		for _, row := range j.rows {
			s.answer = appendRow(s.answer, c.columns, nil, row)
		}
	}
	s.answer = pgwire.AppendTag(s.answer, c.tag)
}
