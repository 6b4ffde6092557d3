package exact

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/heliosproxy/heliosproxy/deploy/exact/told"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// Mode is a pool mode; the zero Mode is PostgreSQL itself.
type Mode uint8

// The modes.
const (
	Direct Mode = iota
	Session
	Transaction
	Statement
)

// String is the mode's name.
func (m Mode) String() string { return [...]string{"direct", "session", "transaction", "statement"}[m] }

// A Target is where sequences are played: a database of its own, made from the template of [World], behind a
// proxy or not.
type Target struct {
	Mode     Mode
	Servers  int // how many server connections the pool has
	Addr     string
	Database string // at the proxy
	Admin    string // the address of PostgreSQL itself
	Real     string // the database's name there
}

// String names the target.
func (t Target) String() string { return fmt.Sprintf("%v/%d", t.Mode, t.Servers) }

// A Harness plays sequences to PostgreSQL and to targets, one after the other. It is used by one goroutine.
type Harness struct {
	Oracle  Target
	Targets []Target
	// Login is how clients log in.
	Login Login
	// Wait is how long a target may stay silent that owes an answer.
	Wait time.Duration
	// Coverage, if set, counts what was dealt with.
	Coverage *Coverage
	// Wary makes every sequence begin with new sessions, in databases that are restored.
	Wary bool
	// First makes a sequence end with its first finding.
	First bool
	// Used counts, by name, how often rows of the table of differences were needed.
	Used map[string]int

	places map[Target]*place
	serial int
	dials  uint64
	ended  bool // what was compared last has come to an end before its own
}

// place is what a harness has open at a target.
type place struct {
	Target
	c     *client
	admin *client
	noise *noise
}

// A Finding is a difference.
type Finding struct {
	Sequence  Sequence
	Target    Target
	Turn      int
	Want, Got []pgscript.Message // of the turn, up to the difference
	Err       error              // instead of an answer
	Before    []transcriptTurn   // PostgreSQL's answers to the turns before
}

// String tells all that is needed to repeat it.
func (f *Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: turn %d of\n--- %s\n", f.Target, f.Turn+1, f.Sequence.Name)
	for i, t := range f.Sequence.Turns {
		fmt.Fprintf(&b, "%v\n", t)
		if i < f.Turn && i < len(f.Before) {
			fmt.Fprintf(&b, "#    -> %s\n", strings.Join(pgscript.Lines(f.Before[i].answers), " | "))
		}
		if i == f.Turn {
			f.writePair(&b)
		}
	}
	if f.Turn >= len(f.Sequence.Turns) {
		b.WriteString("# afterwards, when the harness brings the session back:\n")
		f.writePair(&b)
	}
	return b.String()
}

func (f *Finding) writePair(b *strings.Builder) {
	for _, side := range []struct {
		name     string
		messages []pgscript.Message
	}{{"PostgreSQL", f.Want}, {"the proxy", f.Got}} {
		for _, m := range side.messages {
			fmt.Fprintf(b, "#    %-10s %s\n", side.name, full(m))
		}
	}
	if f.Err != nil {
		fmt.Fprintf(b, "#    %-10s %v\n", "the proxy", f.Err)
	}
}

// transcriptTurn is what PostgreSQL has answered to a turn.
type transcriptTurn struct {
	sent    Turn
	answers []pgscript.Message
	rests   bool // nothing is open after it
}

// Play plays a sequence everywhere and returns what differs, at most one finding a target. An error means that the
// oracle could not be asked.
func (h *Harness) Play(s Sequence) ([]*Finding, error) {
	h.serial++
	if h.Wary {
		if err := h.fresh(); err != nil {
			return nil, err
		}
	}
	want, err := h.consult(s)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL, in\n%v%w", s, err)
	}
	changed := changes(s, want)
	var found []*Finding
	for _, t := range h.Targets {
		if s.Servers != 0 && s.Servers != t.Servers {
			continue
		}
		h.ended = false
		f, err := h.compare(t, s, want)
		if err != nil {
			return found, fmt.Errorf("%v, in\n%v%w", t, s, err)
		}
		if f != nil {
			found = append(found, f)
		}
		if f != nil && h.First {
			return found, nil
		}
		if f != nil || changed || h.ended { // what came behind the end may have changed what PostgreSQL has rolled back
			if err := h.restore(t); err != nil {
				return found, fmt.Errorf("%v, after\n%v%w", t, s, err)
			}
		}
	}
	if changed {
		return found, h.restore(h.Oracle)
	}
	return found, nil
}

// fresh closes all sessions and restores all databases.
func (h *Harness) fresh() error {
	for _, t := range append([]Target{h.Oracle}, h.Targets...) {
		if p := h.places[t]; p != nil {
			p.close()
		}
		if err := h.restore(t); err != nil {
			return err
		}
	}
	return nil
}

// closing brings a session back to where it began, from any state; between the turns of it all answers are read.
// The first turn ends whatever is open, the second tells whether it has.
func (h *Harness) closing() []Turn {
	return []Turn{
		{pgscript.CopyFail("closing"), pgscript.Sync(), pgscript.Query("ROLLBACK")},
		{pgscript.Query(h.sentinel())},
		{pgscript.Query("DISCARD ALL")},
		{pgscript.Query(sessionSQL)},
	}
}

// sentinel is a text that is an error in every state of a transaction, with words that no other error has.
func (h *Harness) sentinel() string { return fmt.Sprint("sentinel_", h.serial) }

// sessionSQL asks for what a session that has just begun answers in one way only.
const sessionSQL = `SELECT current_setting('TimeZone'), current_setting('DateStyle'), current_setting('search_path'), current_setting('work_mem'),` +
	` current_user, session_user, current_setting('transaction_isolation'), (SELECT count(*) FROM pg_cursors WHERE is_holdable)`

// consult plays the sequence to PostgreSQL. The transcript has the closing turns behind those of the sequence, unless
// the server has closed the connection.
func (h *Harness) consult(s Sequence) ([]transcriptTurn, error) {
	p, err := h.at(h.Oracle)
	if err != nil {
		return nil, err
	}
	var script []transcriptTurn
	var count func(State, Kind)
	if h.Coverage != nil {
		count = h.Coverage.Add
	}
	m := NewMachine(count)
	for i, t := range append(slices.Clip(s.Turns), h.closing()...) {
		if i == len(s.Turns) {
			m.Count = nil
		}
		turn := transcriptTurn{sent: t}
		m.Send(t)
		p.c.say(t, nil)
		for m.Due() {
			a, err := p.c.next()
			if err != nil {
				p.drop()
				return nil, fmt.Errorf("no answer to turn %d (%v) where one was expected, after %v: %w", i+1, t, pgscript.Lines(turn.answers), err)
			}
			turn.answers = append(turn.answers, a)
			m.Answer(a)
		}
		turn.rests = m.Rests()
		script = append(script, turn)
		if m.Over() {
			p.drop()
			break
		}
	}
	return script, nil
}

// compare plays the sequence to a target and compares.
func (h *Harness) compare(t Target, s Sequence, want []transcriptTurn) (*Finding, error) {
	p, err := h.at(t)
	if err != nil {
		return nil, err
	}
	cuts, ddl := random(s.Name, t), false
	var sent Turn
	var told told.Client
	for i, turn := range want {
		p.c.say(turn.sent, cuts)
		sent = append(sent, turn.sent...)
		var got []pgscript.Message
		for k, w := range turn.answers {
			a, err := p.c.next()
			if err == nil {
				got = append(got, a)
				x := pair{mode: t.Mode, want: w, got: a, before: got[:k], rest: turn.answers[k:], turn: turn.sent, sent: sent, ddl: ddl}
				ddl = ddl || w.Type == 'C' && (bytes.HasPrefix(w.Body, []byte("ALTER ")) || bytes.HasPrefix(w.Body, []byte("DROP ")) || bytes.HasPrefix(w.Body, []byte("CREATE ")))
				verdict := h.judge(&x)
				if verdict == same {
					continue
				}
				if verdict == ends {
					h.ended = true
					rest, err := h.resync(p)
					if wrong := told.Turn(turn.sent, append(got, rest...)); wrong != "" && !misleads(want) {
						return &Finding{Sequence: s, Target: t, Turn: i, Want: turn.answers, Got: append(got, rest...), Err: errors.New(wrong), Before: want[:i]}, err
					}
					return nil, err
				}
			}
			p.drop()
			return &Finding{Sequence: s, Target: t, Turn: i, Want: turn.answers[:k+1], Got: got, Err: err, Before: want[:i]}, nil
		}
		if len(got) > 0 && got[len(got)-1].Type == end.Type {
			p.drop()
		}
		if wrong := told.Turn(turn.sent, got); wrong != "" && !misleads(want) {
			return &Finding{Sequence: s, Target: t, Turn: i, Want: turn.answers, Got: got, Err: errors.New(wrong), Before: want[:i]}, nil
		}
		if t.Mode == Transaction && turn.rests {
			words := p.noise.make(cuts)
			if words == "" && i == len(want)-1 {
				if keeps(s) {
					p.drop()
				}
				words = p.noise.end()
			}
			if words != "" {
				err := fmt.Errorf("another session gets %s", words)
				p.close()
				return &Finding{Sequence: s, Target: t, Turn: i, Want: turn.answers, Got: got, Err: err, Before: want[:i]}, nil
			}
		}
	}
	return nil, nil
}

// keeps says whether a session keeps its server connection, and rightly so, although DISCARD ALL has been done.
func keeps(s Sequence) bool {
	for _, t := range s.Turns {
		for _, raw := range t {
			if text := bytes.ToLower(raw); bytes.Contains(text, []byte("seed")) || bytes.Contains(text, []byte("currval")) || bytes.Contains(text, []byte("lastval")) {
				return true
			}
		}
	}
	return false
}

// misleads says whether PostgreSQL itself gives rows of another shape than it has told.
func misleads(turns []transcriptTurn) bool {
	var c told.Client
	return slices.ContainsFunc(turns, func(t transcriptTurn) bool { return c.Turn(t.sent, t.answers) != "" })
}

// resync brings a session back after which nothing can be compared, and returns what it was answered until then.
func (h *Harness) resync(p *place) (rest []pgscript.Message, err error) {
	for _, t := range h.closing()[:2] {
		p.c.say(t, nil)
	}
	seen := false
	for {
		m, err := p.c.next()
		if err != nil {
			return rest, fmt.Errorf("bring the session back: %w", err)
		}
		if m.Type == end.Type {
			p.drop()
			return rest, nil
		}
		seen = seen || m.Type == 'E' && strings.Contains(m.Field('M'), h.sentinel())
		if seen && m.Type == 'Z' {
			_, err := p.c.ask("DISCARD ALL")
			return rest, err
		}
		rest = append(rest, m)
	}
}

// at returns what is open at a target.
func (h *Harness) at(t Target) (*place, error) {
	if h.places == nil {
		h.places, h.Used = map[Target]*place{}, map[string]int{}
	}
	p := h.places[t]
	if p == nil {
		p = &place{Target: t}
		h.places[t] = p
	}
	var err error
	if p.admin == nil {
		if p.admin, err = h.dial(t.Admin, t.Real); err != nil {
			return nil, err
		}
	}
	if p.noise == nil && t.Mode == Transaction {
		if p.noise, err = newNoise(h, t); err != nil {
			return nil, err
		}
	}
	if p.c == nil {
		if p.c, err = h.dial(t.Addr, t.Database); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// restore makes the target's database what it was.
func (h *Harness) restore(t Target) error {
	p, err := h.at(t)
	if err != nil {
		return err
	}
	answers, err := p.admin.ask(restoreSQL)
	for _, m := range answers {
		if m.Type == 'E' {
			return fmt.Errorf("restore the database: %s", m.Backend())
		}
	}
	return err
}

// Close closes all connections.
func (h *Harness) Close() {
	for _, p := range h.places {
		p.close()
		if p.admin != nil {
			p.admin.Close()
		}
	}
	h.places = nil
}

// close closes the session and the other one.
func (p *place) close() {
	p.drop()
	if p.noise != nil {
		p.noise.c.Close()
		p.noise = nil
	}
}

// drop closes the session; the next sequence begins with a new one.
func (p *place) drop() {
	if p.c != nil {
		p.c.Close()
		p.c = nil
	}
}

// random makes the random source of a sequence at a target, the same each time.
func random(name string, t Target) *rand.Rand {
	f := fnv.New64a()
	f.Write([]byte(name))
	return rand.New(rand.NewPCG(f.Sum64(), uint64(t.Mode)<<8|uint64(t.Servers)))
}
