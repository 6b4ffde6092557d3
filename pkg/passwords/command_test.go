package passwords

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/program"
)

// fake stands for a command in a test: it prints a password and a number, one more each time.
type fake struct {
	mu    sync.Mutex
	runs  int
	err   error
	under int
	most  int
	hold  chan struct{} // if it is there, a run ends when it is closed, or is ended
}

func (p *fake) run(ctx context.Context, argv []string) ([]byte, error) {
	p.mu.Lock()
	p.runs++
	p.under++
	p.most = max(p.most, p.under)
	n, err, hold := p.runs, p.err, p.hold
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.under--
		p.mu.Unlock()
	}()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, errors.New("signal: killed")
		}
	}
	return fmt.Appendf(nil, "%s %d\n", strings.Join(argv[1:], " "), n), err
}

func (p *fake) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func with(f *Finder, p *fake) *Finder {
	f.run = p.run
	return f
}

// command is a source that p stands for.
func command(args ...string) []Source {
	return []Source{{Command: append([]string{"program"}, args...), Lifetime: time.Minute}}
}

// wait lets time pass in a bubble.
func wait(d time.Duration) { <-time.After(d) }

// TestKept asks a command again when what it printed is not good any more, and not before.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fake{}
		f := with(New(), p)
		defer f.Close()
		check := func(what string, to Login, refused, want string) {
			t.Helper()
			got, ok, err := f.Find(command("{user}"), to, refused)
			if err != nil {
				got = err.Error()
			}
			if got != want || ok != (err == nil) {
				t.Errorf("%s: %q, %t; want %q", what, got, ok, want)
			}
		}
		ann := Login{Host: "h", User: "ann"}
		check("the first time", ann, "", "ann 1")
		check("a second time", ann, "", "ann 1")
		check("another database, which it is not told of", Login{Host: "g", User: "ann", Database: "d"}, "", "ann 1")
		check("another user", Login{User: "bob"}, "", "bob 2")
		wait(time.Minute - 1)
		check("at the end", ann, "", "ann 1")
		wait(1)
		check("after the end", ann, "", "ann 3")
		check("refused", ann, "ann 3", "ann 4")
		check("refused, when another one is there already", ann, "ann 3", "ann 4")
		check("refused at once again", ann, "ann 4", "ann 4")
		wait(rest)
		check("refused again later", ann, "ann 4", "ann 5")
		wait(time.Minute)
		p.fail(errors.New("exit status 1"))
		const failed = `password command "program": exit status 1`
		check("a failure", ann, "", failed)
		p.fail(nil)
		check("just after a failure", ann, "", failed)
		wait(rest)
		check("some time after a failure", ann, "", "ann 7")
		p.fail(errors.New("exit status 1"))
		check("a failure after a refusal", ann, "ann 7", failed)
		if p.runs != 8 {
			t.Errorf("%d runs, want 8", p.runs)
		}
	})
}

// TestOneRun lets many ask for the same at once.
func TestOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fake{hold: make(chan struct{})}
		f := with(New(), p)
		defer f.Close()
		answers := make(chan string, 100)
		for range cap(answers) {
			go func() {
				got, _, err := f.Find(command("{user}"), Login{User: "ann"}, "")
				answers <- fmt.Sprint(got, err)
			}()
		}
		synctest.Wait()
		close(p.hold)
		for range cap(answers) {
			if got := <-answers; got != "ann 1<nil>" {
				t.Errorf("somebody has %q", got)
			}
		}
		if p.runs != 1 {
			t.Errorf("%d runs", p.runs)
		}
	})
}

// TestTimeout ends a command that does not end.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := with(New(), &fake{hold: make(chan struct{})})
		defer f.Close()
		began := time.Now()
		_, _, err := f.Find(command(), Login{}, "")
		if err == nil || !strings.Contains(err.Error(), "has not ended within 10s") || time.Since(began) != 10*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestBounds runs no more commands at once than there are places for, turns away whom there is no place for, and lets all go at the
// end.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fake{hold: make(chan struct{})}
		f := with(New(), p)
		errs := make(chan error, maxAsking)
		for i := range maxAsking {
			go func() {
				_, _, err := f.Find(command("{user}"), Login{User: fmt.Sprint(i)}, "")
				errs <- err
			}()
		}
		synctest.Wait()
		if p.most != maxRunning {
			t.Errorf("%d run at once, want %d", p.most, maxRunning)
		}
		if _, _, err := f.Find(command(), Login{}, ""); !errors.Is(err, errCrowded) {
			t.Errorf("one too many: %v", err)
		}
		f.Close()
		for range maxAsking {
			if err := <-errs; !errors.Is(err, errClosed) {
				t.Fatalf("at the end: %v", err)
			}
		}
		if _, _, err := f.Find(command("new"), Login{}, ""); !errors.Is(err, errClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestForgets keeps so many passwords and no more: the oldest goes.
func TestForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fake{}
		f := with(New(), p)
		defer f.Close()
		ask := func(i int) string {
			got, _, _ := f.Find(command("{port}"), Login{Port: i}, "")
			wait(1)
			return got
		}
		for i := range maxKept + 1 {
			ask(i)
		}
		if len(f.kept) != maxKept {
			t.Errorf("%d are kept", len(f.kept))
		}
		if got := ask(1); got != "1 2" {
			t.Errorf("one of those that were kept: %q", got)
		}
		if got, want := ask(0), fmt.Sprintf("0 %d", maxKept+2); got != want {
			t.Errorf("the oldest: %q, want %q", got, want)
		}
	})
}

// TestWholeGroupIsKilled ends a command together with what it has started.
func TestWholeGroupIsKilled(t *testing.T) {
	t.Parallel()
	f := finder(t)
	f.limit = 3 * time.Second
	pids := filepath.Join(t.TempDir(), "pids")
	s := Source{Command: []string{"sh", "-c", `sleep 1000 & echo $$ $! > "$1.new"; mv "$1.new" "$1"; wait`, "sh", pids}}
	if _, _, err := f.Find([]Source{s}, Login{}, ""); err == nil || !strings.Contains(err.Error(), "has not ended within 3s") {
		t.Fatal(err)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); lives(pid); <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("process %d lives", pid)
			}
		}
	}
}

// lives says whether a process is there and no zombie that waits for whoever has adopted it.
func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !os.IsNotExist(err)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

// TestLeftBehind does not wait for what a command leaves behind with its output open.
func TestLeftBehind(t *testing.T) {
	_, _, err := finder(t).Find([]Source{{Command: []string{"sh", "-c", "sleep 1000 & echo x"}}}, Login{}, "")
	if err == nil || !strings.Contains(err.Error(), "left somebody behind") {
		t.Error(err)
	}
}

// TestCounts counts what commands that were run came to, and how long they took.
func TestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New()
		said := ""
		f.run = func(ctx context.Context, _ []string) ([]byte, error) {
			switch said {
			case "fails":
				return nil, errors.New("exit status 1")
			case "hangs":
				<-ctx.Done()
				return nil, ctx.Err()
			}
			wait(2 * time.Second)
			return []byte(said), nil
		}
		for i, text := range []string{"word", "", "fails", "hangs"} {
			said = text
			for range 2 { // the second time the answer is known
				_, _, _ = f.Find(command("{user}"), Login{User: fmt.Sprint(i)}, "")
			}
		}
		said = "hangs"
		go f.Find(command("{user}"), Login{User: "last"}, "")
		synctest.Wait()
		f.Close()
		want := program.Counts{Runs: 5, Failures: 3, Seconds: 14}
		want.Within[slices.Index(program.Bounds[:], 0.005)] = 2
		want.Within[slices.Index(program.Bounds[:], 2.5)] = 2
		want.Within[slices.Index(program.Bounds[:], 10)] = 1
		if got := f.Counts(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}
