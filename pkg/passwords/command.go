package passwords

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/program"
)

// printed is what a command has printed, and the run that is under way. The Finder's mutex guards it.
type printed struct {
	answer
	under   *flight   // nil: it does not run
	renewed time.Time // when it was run last because a server had refused the password
}

// answer is the outcome of a run.
type answer struct {
	password string
	err      error
	at       time.Time // when a run began that went well, and when one ended that did not
}

// flight is a run that is under way.
type flight struct {
	done   chan struct{} // closed at its end; answer is there then
	answer answer
}

// good says whether an answer that is kept is still one at now.
func (p *printed) good(now time.Time, lifetime time.Duration, refused string) bool {
	switch age := now.Sub(p.at); {
	case p.at.IsZero():
		return false
	case p.err != nil:
		return age < rest
	case age >= lifetime:
		return false
	}
	return refused == "" || p.password != refused || !p.renewed.IsZero() && now.Sub(p.renewed) < rest
}

// ask returns what a command prints for a log-in: what is kept of it, or what it prints now. Of each command and its arguments one
// runs at once, and whoever asks meanwhile waits for that one.
func (f *Finder) ask(s Source, to Login, refused string) (string, error) {
	argv := s.argv(to)
	key := strings.Join(argv, "\x00")
	f.mu.Lock()
	p := f.kept[key]
	if p == nil {
		f.makeRoom()
		p = &printed{}
		f.kept[key] = p
	}
	if w := p.under; w != nil {
		f.mu.Unlock()
		<-w.done
		return w.answer.password, w.answer.err
	}
	now := f.now()
	if p.good(now, s.Lifetime, refused) {
		defer f.mu.Unlock()
		return p.password, p.err
	}
	if refused != "" && p.password == refused {
		p.renewed = now
	}
	if f.ctx.Err() != nil {
		defer f.mu.Unlock()
		return "", errClosed
	}
	w := &flight{done: make(chan struct{})}
	p.under = w
	f.flights.Add(1)
	defer f.flights.Done()
	f.mu.Unlock()
	w.answer = f.execute(argv)
	f.mu.Lock()
	p.answer, p.under = w.answer, nil
	f.mu.Unlock()
	close(w.done)
	return w.answer.password, w.answer.err
}

// makeRoom forgets the oldest answer where there are too many. There is always one that nobody waits for, as fewer may wait than
// are kept.
func (f *Finder) makeRoom() {
	if len(f.kept) < maxKept {
		return
	}
	oldest := ""
	for key, p := range f.kept {
		if p.under == nil && (oldest == "" || p.at.Before(f.kept[oldest].at)) {
			oldest = key
		}
	}
	delete(f.kept, oldest)
}

// execute runs a command when there is a place for it.
func (f *Finder) execute(argv []string) answer {
	failed := func(err error) answer { return answer{err: err, at: f.now()} }
	if err := f.take(f.running); err != nil {
		return failed(err)
	}
	defer func() { <-f.running }()
	began := f.now()
	ctx, cancel := context.WithTimeout(f.ctx, f.limit)
	defer cancel()
	text, err := f.run(ctx, argv)
	took := f.now().Sub(began)
	switch {
	case f.ctx.Err() != nil:
		f.tally.Ran(took, program.Left)
		return failed(errClosed)
	case ctx.Err() != nil:
		err = fmt.Errorf("has not ended within %s", f.limit)
	}
	password := ""
	if err == nil {
		if password, err = firstLine(text); err != nil {
			err = fmt.Errorf("what it printed: %w", err)
		}
	}
	if err != nil {
		f.tally.Ran(took, program.Failed)
		return failed(err)
	}
	f.tally.Ran(took, program.Succeeded)
	return answer{password: password, at: began}
}

// run runs a program with the environment of this one and returns what it prints: no more than a byte above maxText.
func run(ctx context.Context, argv []string) ([]byte, error) {
	return program.Run(ctx, program.Command{Argv: argv, Keep: maxText})
}
