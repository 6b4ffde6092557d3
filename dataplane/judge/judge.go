// Package judge has those who judge passwords of which the proxy knows nothing: a program. It never keeps a password, and shows none: not in an error, not in an argument, not in an environment.
package judge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/auth"
	"github.com/heliosproxy/heliosproxy/pkg/program"
)

// How much programs do at once.
const (
	maxRunning = 16
	maxWaiting = 1024 // for one of them to end
)

var errClosed = errors.New("log-ins are not judged any more")

// Spec is a program that judges.
type Spec struct {
	Command []string // an absolute path or a name that is looked for in PATH, and arguments
	Timeout time.Duration
}

// Programs runs programs that judge, those of all listeners together no more at once than there are places. Any goroutine may use it.
type Programs struct {
	run  func(context.Context, program.Command) ([]byte, error)
	ctx  context.Context
	stop context.CancelFunc

	asking, running chan struct{} // a place for each
	tally           program.Tally

	mu      sync.Mutex
	flights sync.WaitGroup
}

// New makes Programs.
func New() *Programs {
	p := &Programs{run: program.Run, asking: make(chan struct{}, maxRunning+maxWaiting), running: make(chan struct{}, maxRunning)}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// Close ends the programs that run, and waits for their end.
func (p *Programs) Close() {
	p.mu.Lock()
	p.stop() // no more are begun
	p.mu.Unlock()
	p.flights.Wait()
}

// Counts returns what the programs came to that were run.
func (p *Programs) Counts() program.Counts { return p.tally.Counts() }

// Judge is the judge that asks the program of s.
func (p *Programs) Judge(s Spec) auth.Judge { return &judge{p, s} }

// judge asks a program.
type judge struct {
	programs *Programs
	spec     Spec
}

// Judge runs the program, when there is a place for it.
func (j *judge) Judge(ctx context.Context, c auth.Claim) error {
	p := j.programs
	if strings.ContainsAny(c.Password, "\n\x00") {
		return fmt.Errorf("%w: the password is more than the line that a program reads", auth.ErrRefused)
	}
	if !p.enter() {
		return errClosed
	}
	defer p.flights.Done()
	select {
	case p.asking <- struct{}{}:
		defer func() { <-p.asking }()
	default:
		return auth.ErrBusy
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	select {
	case p.running <- struct{}{}:
		defer func() { <-p.running }()
	case <-ctx.Done():
		return p.ended(ctx)
	}
	began := time.Now()
	err := j.ask(ctx, c)
	p.tally.Ran(time.Since(began), outcome(ctx, err))
	return err
}

// outcome is what a program came to whose judgement is err.
func outcome(ctx context.Context, err error) program.Outcome {
	switch {
	case err == nil:
		return program.Succeeded
	case errors.Is(err, auth.ErrRefused):
		return program.Refused
	case ctx.Err() != nil:
		return program.Left
	}
	return program.Failed
}

// ask runs the program.
func (j *judge) ask(ctx context.Context, c auth.Claim) error {
	p := j.programs
	limited, cancel := context.WithTimeout(ctx, j.spec.Timeout)
	defer cancel()
	_, err := p.run(limited, program.Command{Argv: j.spec.Command, Env: environment(c), Input: c.Password + "\n"})
	switch status, exited := program.Exited(err); {
	case err == nil:
		return nil
	case exited && status == 1:
		err = auth.ErrRefused
	case exited:
	case ctx.Err() != nil:
		return p.ended(ctx)
	case limited.Err() != nil:
		err = fmt.Errorf("has not ended within %s", j.spec.Timeout)
	}
	return fmt.Errorf("program %q: %w", j.spec.Command[0], err)
}

// enter counts a judgement that is under way; false: there are none any more.
func (p *Programs) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.flights.Add(1)
	return true
}

// ended says why nobody waits for a judgement any more.
func (p *Programs) ended(ctx context.Context) error {
	if p.ctx.Err() != nil {
		return errClosed
	}
	return ctx.Err()
}

// environment is what a program is told of a client. Nothing else of the proxy's own environment is, as that may hold secrets.
func environment(c auth.Claim) []string {
	address, tls := "", "off"
	if c.Addr.IsValid() {
		address = c.Addr.String()
	}
	if c.TLS {
		tls = "on"
	}
	return []string{
		"PATH=" + os.Getenv("PATH"), "HELIOS_USER=" + c.User, "HELIOS_DATABASE=" + c.Database, "HELIOS_ADDRESS=" + address,
		"HELIOS_TLS=" + tls, "HELIOS_PAM_SERVICE=" + c.Service,
	}
}
