// Package passwords finds the passwords for servers that live elsewhere: in a passfile, in a file that something else renews, in what a command prints. It never shows one: not in an error, and not when a value is printed.
package passwords

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/program"
)

// Source is where passwords come from. One of Passfile, File and Command is set. It is immutable.
type Source struct {
	// Passfile is the path of a file as libpq's .pgpass. It is the only source that may have no password for somebody.
	Passfile string
	// File is the path of a file whose first line is the password.
	File string
	// Command is a program and its arguments. In these {host}, {port}, {user} and {database} stand for what is connected to. The
	// first line that it prints is the password.
	Command []string
	// Lifetime is how long what a command has printed is good.
	Lifetime time.Duration
}

// Same says whether s and o are one source.
func (s Source) Same(o Source) bool {
	return s.Passfile == o.Passfile && s.File == o.File && slices.Equal(s.Command, o.Command) && s.Lifetime == o.Lifetime
}

// FallsOn says whether the source may have no password for somebody, who is looked for in the next one then.
func (s Source) FallsOn() bool { return s.Passfile != "" }

// String names the source, for words. Of a command it has the program alone: arguments may be anything.
func (s Source) String() string {
	switch {
	case s.Passfile != "":
		return fmt.Sprintf("passfile %q", s.Passfile)
	case s.File != "":
		return fmt.Sprintf("password file %q", s.File)
	case len(s.Command) > 0:
		return fmt.Sprintf("password command %q", s.Command[0])
	}
	return "no source of passwords"
}

// GoString hides the arguments of a command from %#v.
func (s Source) GoString() string { return s.String() }

// argv is the command for a log-in. The program itself stands for nothing else: who connects must not choose it.
func (s Source) argv(to Login) []string {
	r := strings.NewReplacer("{host}", to.Host, "{port}", fmt.Sprint(to.Port), "{user}", to.User, "{database}", to.Database)
	argv := slices.Clone(s.Command)
	for i := 1; i < len(argv); i++ {
		argv[i] = r.Replace(argv[i])
	}
	return argv
}

// Login is what is connected to, and as whom.
type Login struct {
	Host           string // a name, an address, or the directory of a unix socket
	Port           int
	User, Database string
}

// How much a Finder does and keeps.
const (
	maxAsking  = 4096     // that wait for an answer
	maxReading = 16       // files that are read at once
	maxRunning = 16       // commands that run at once
	maxKept    = 10_000   // commands whose passwords are kept
	maxText    = 64 << 10 // bytes of a file or of what a command prints
	timeout    = 10 * time.Second
	rest       = time.Second // how long a failure is an answer, and the least time between two runs because of refusals
)

var (
	errCrowded = errors.New("too many connections wait for passwords")
	errClosed  = errors.New("passwords are not looked for any more")
)

// Finder finds passwords. It keeps what commands have printed for as long as that is good. Any goroutine may use it; whoever
// does may have to wait.
type Finder struct {
	now   func() time.Time
	run   func(ctx context.Context, argv []string) ([]byte, error)
	limit time.Duration // for one run
	ctx   context.Context
	stop  context.CancelFunc

	asking, reading, running chan struct{} // a place for each
	tally                    program.Tally // of commands

	mu      sync.Mutex
	kept    map[string]*printed // by the command and its arguments
	flights sync.WaitGroup
}

// New makes a Finder.
func New() *Finder {
	f := &Finder{
		now: time.Now, run: run, limit: timeout, kept: map[string]*printed{},
		asking: make(chan struct{}, maxAsking), reading: make(chan struct{}, maxReading), running: make(chan struct{}, maxRunning),
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f
}

// Close ends the commands that run, and waits for their end. Whoever waits for a password is told that there is none.
func (f *Finder) Close() {
	f.mu.Lock()
	f.stop() // no more are begun
	f.mu.Unlock()
	f.flights.Wait()
}

// Counts returns what the commands came to that were run.
func (f *Finder) Counts() program.Counts { return f.tally.Counts() }

// Find returns the password for a log-in from the first of the sources that has one; ok is false if none has. refused is a
// password that the server has just refused, of which another one is wanted, or empty: what is returned is refused itself where
// there is no other one. The error names the source that has failed, with which the search ends.
func (f *Finder) Find(sources []Source, to Login, refused string) (password string, ok bool, err error) {
	select {
	case f.asking <- struct{}{}:
	default:
		return "", false, errCrowded
	}
	defer func() { <-f.asking }()
	for _, s := range sources {
		switch {
		case s.Passfile != "":
			password, ok, err = f.lookUp(s.Passfile, to)
		case s.File != "":
			password, err = f.firstLineOf(s.File)
			ok = err == nil
		case len(s.Command) > 0:
			password, err = f.ask(s, to, refused)
			ok = err == nil
		}
		if err != nil {
			return "", false, fmt.Errorf("%s: %w", s, err)
		}
		if ok {
			return password, true, nil
		}
	}
	return "", false, nil
}

// firstLine is the password in a text.
func firstLine(text []byte) (string, error) {
	if len(text) > maxText {
		return "", fmt.Errorf("more than %d bytes", maxText)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case line == "":
		return "", errors.New("the first line is empty, where the password should be")
	case strings.IndexByte(line, 0) >= 0:
		return "", errors.New("the first line holds a zero byte, which no password does")
	}
	return line, nil
}
