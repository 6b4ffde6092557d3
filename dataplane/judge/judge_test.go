package judge

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/auth"
	"github.com/heliosproxy/heliosproxy/pkg/program"
)

// TestStatus takes the status of a program for its judgement.
func TestStatus(t *testing.T) {
	p := New()
	t.Cleanup(p.Close)
	const refused = "refused"
	for _, c := range []struct {
		name, script, password string
		want                   string // of the error; refused: that it is a refusal
	}{
		{"right", `read -r p && test "$p" = c4n4ry`, "c4n4ry", ""},
		{"wrong", `read -r p && test "$p" = c4n4ry`, "another c4n4ry", refused},
		{"blanks and the like stay", `IFS= read -r p && test "$p" = '  c4n4ry \ '`, `  c4n4ry \ `, ""},
		{"a second line", `exit 0`, "c4n4ry\nc4n4ry", refused},
		{"it does not read", `exec <&-; exit 0`, "c4n4ry", ""},
		{"all is said on its output", `cat; cat /dev/zero | head -c 1000000; echo c4n4ry >&2`, "c4n4ry", ""},
		{"a large password", `test $(wc -c) = 1000001`, strings.Repeat("x", 1_000_000), ""},
		{"status 1", `exit 1`, "c4n4ry", refused},
		{"status 2", `exit 2`, "c4n4ry", `program "sh": exit status 2`},
		{"status 255", `exit 255`, "c4n4ry", `program "sh": exit status 255`},
		{"a signal", `kill -SEGV $$`, "c4n4ry", `program "sh": signal: segmentation fault`},
		{"it does not end", `sleep 1000 & wait`, "c4n4ry", `program "sh": has not ended within 1s`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			limit := time.Minute
			if strings.Contains(c.want, "within 1s") {
				limit = time.Second
			}
			err := p.Judge(Spec{Command: []string{"sh", "-c", c.script}, Timeout: limit}).Judge(t.Context(), auth.Claim{User: "ann", Password: c.password})
			got := ""
			if errors.Is(err, auth.ErrRefused) {
				got = refused
			} else if err != nil {
				got = err.Error()
			}
			if strings.TrimSuffix(got, " (core dumped)") != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "c4n4ry") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
	err := p.Judge(Spec{Command: []string{"/nonexistent/check"}, Timeout: time.Second}).Judge(t.Context(), auth.Claim{Password: "x"})
	if err == nil || errors.Is(err, auth.ErrRefused) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a program that is not there any more: %v", err)
	}
}

// TestTold tells a program who the client is, and nobody but its standard input the password.
func TestTold(t *testing.T) {
	p := New()
	defer p.Close()
	t.Setenv("HELIOS_SECRET", "hidden")
	t.Setenv("PATH", "/usr/bin:/bin")
	dir := t.TempDir()
	j := p.Judge(Spec{Command: []string{"sh", "-c", `tr '\0' '\n' < /proc/$$/environ > "$1/env"; tr '\0' ' ' < /proc/$$/cmdline > "$1/argv"; cat > "$1/input"`, "sh", dir}, Timeout: time.Minute})
	for _, c := range []struct {
		claim auth.Claim
		want  string
	}{
		{
			auth.Claim{User: "ann $(x)", Database: "shop", Addr: netip.MustParseAddr("10.1.2.3"), TLS: true, Service: "helios", Password: "c4n4ry"},
			"PATH=/usr/bin:/bin\nHELIOS_USER=ann $(x)\nHELIOS_DATABASE=shop\nHELIOS_ADDRESS=10.1.2.3\nHELIOS_TLS=on\nHELIOS_PAM_SERVICE=helios\n",
		},
		{
			auth.Claim{User: "ann", Service: "postgresql", Password: "c4n4ry"},
			"PATH=/usr/bin:/bin\nHELIOS_USER=ann\nHELIOS_DATABASE=\nHELIOS_ADDRESS=\nHELIOS_TLS=off\nHELIOS_PAM_SERVICE=postgresql\n",
		},
	} {
		if err := j.Judge(t.Context(), c.claim); err != nil {
			t.Fatal(err)
		}
		read := func(name string) string {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		if got := read("env"); got != c.want {
			t.Errorf("its environment is\n%swant\n%s", got, c.want)
		}
		if got := read("argv"); !strings.HasSuffix(got, " sh "+dir+" ") || strings.Contains(got, "c4n4ry") {
			t.Errorf("its arguments are %q", got)
		}
		if got := read("input"); got != "c4n4ry\n" {
			t.Errorf("its input is %q", got)
		}
	}
}

// TestBounds runs no more programs at once than there are places for, turns away whom there is no room for, lets go who does not wait
// any more, and all at the end.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New()
		run := 0
		began := make(chan bool, maxRunning+maxWaiting)
		p.run = func(ctx context.Context, _ program.Command) ([]byte, error) {
			began <- true
			<-ctx.Done()
			return nil, errors.New("signal: killed")
		}
		j := p.Judge(Spec{Command: []string{"check"}, Timeout: time.Hour})
		errs := make(chan error, maxRunning+maxWaiting)
		first, leave := context.WithCancel(t.Context())
		for i := range maxRunning + maxWaiting {
			ctx := t.Context()
			if i == 0 {
				ctx = first
			}
			go func() { errs <- j.Judge(ctx, auth.Claim{Password: "x"}) }()
			synctest.Wait() // for an order among them
		}
		if run = len(began); run != maxRunning {
			t.Errorf("%d run at once, want %d", run, maxRunning)
		}
		if err := j.Judge(t.Context(), auth.Claim{Password: "x"}); !errors.Is(err, auth.ErrBusy) {
			t.Errorf("one too many: %v", err)
		}
		leave()
		synctest.Wait()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("who has left: %v", err)
		}
		if run = len(began); run != maxRunning+1 {
			t.Errorf("%d have run, want one more", run)
		}
		before := time.Now()
		for range maxRunning {
			if err := <-errs; err == nil || !strings.Contains(err.Error(), "has not ended within 1h0m0s") {
				t.Errorf("at the timeout: %v", err)
			}
		}
		if d := time.Since(before); d != time.Hour {
			t.Errorf("the timeout is %s", d)
		}
		p.Close()
		for range maxWaiting - 1 {
			if err := <-errs; !errors.Is(err, errClosed) {
				t.Fatalf("at the end: %v", err)
			}
		}
		if err := j.Judge(t.Context(), auth.Claim{Password: "x"}); !errors.Is(err, errClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestCounts counts what programs that were run came to, and how long they took.
func TestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New()
		defer p.Close()
		said, status := "", error(nil)
		p.run = func(ctx context.Context, c program.Command) ([]byte, error) {
			if said == "hangs" {
				<-ctx.Done()
				return nil, errors.New("signal: killed")
			}
			<-time.After(2 * time.Second)
			return nil, status
		}
		_, one := program.Run(t.Context(), program.Command{Argv: []string{"sh", "-c", "exit 1"}})
		_, two := program.Run(t.Context(), program.Command{Argv: []string{"sh", "-c", "exit 2"}})
		j := p.Judge(Spec{Command: []string{"check"}, Timeout: 20 * time.Second})
		ask := func(ctx context.Context) { _ = j.Judge(ctx, auth.Claim{Password: "x"}) }
		for _, status = range []error{nil, nil, one, two} {
			ask(t.Context())
		}
		said = "hangs"
		ask(t.Context())
		left, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		ask(left)
		_ = j.Judge(t.Context(), auth.Claim{Password: "a\nb"}) // is not asked
		want := program.Counts{Runs: 6, Refusals: 1, Failures: 2, Seconds: 29}
		want.Within[slices.Index(program.Bounds[:], 1)] = 1
		want.Within[slices.Index(program.Bounds[:], 2.5)] = 4
		want.Within[slices.Index(program.Bounds[:], 30)] = 1
		if got := p.Counts(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}
