package command_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/heliosproxy/heliosproxy/deploy/standalone/command"
)

// TestEndings: whoever wants the program to wait for fewer than it does gets that, and who wants it to wait for more does not.
func TestEndings(t *testing.T) {
	for _, tt := range []struct {
		name    string
		wishes  []command.Ending
		waits   string // for whom, one after the other
		drained bool   // those for whom it waits at last leave
	}{
		{"at once after clients", []command.Ending{command.AfterClients, command.AtOnce}, "leave", false},
		{"at once after transactions", []command.Ending{command.AfterTransactions, command.AtOnce}, "drain", false},
		{"transactions after clients", []command.Ending{command.AfterClients, command.AfterTransactions}, "leave drain", true},
		{"all three", []command.Ending{command.AfterClients, command.AfterTransactions, command.AtOnce}, "leave drain", false},
		{"clients after transactions", []command.Ending{command.AfterTransactions, command.AfterClients}, "drain", true},
		{"handed over meanwhile", []command.Ending{command.AfterTransactions, command.HandedOver}, "drain", false},
	} {
		for _, config := range []string{"toml", "ini"} {
			t.Run(tt.name+" "+config, func(t *testing.T) {
				args := []string{"-c", configFile(t, good)}
				if config == "ini" {
					bouncer(t, ini)
					args = []string{"--pgbouncer-ini", "p.ini"}
				}
				x := start(newPlane(), args...)
				x.err.wait("heliosproxy ready")
				waits := strings.Fields(tt.waits)
				for i, how := range tt.wishes {
					x.options.Shutdown(how)
					if i < len(waits) {
						if got := <-x.draining; got != waits[i] {
							t.Errorf("wish %d: %s, want %s", i, got, waits[i])
						}
					}
				}
				if tt.drained {
					close(x.drained)
				}
				if code := <-x.exit; code != 0 {
					t.Errorf("exit code %d", code)
				}
				<-x.closed
				if len(x.draining) != 0 {
					t.Errorf("then: %s", <-x.draining)
				}
				if t.Failed() {
					t.Log(x.err.String())
				}
			})
		}
	}
}

// TestHandedOver: nobody has asked for an end that comes because another process has everything.
func TestHandedOver(t *testing.T) {
	x := start(newPlane(), "-c", configFile(t, good))
	x.err.wait("heliosproxy ready")
	x.options.Shutdown(command.HandedOver)
	if code := <-x.exit; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if log := x.err.String(); !strings.Contains(log, "ending as another process has taken over") || strings.Contains(log, "administrator's behalf") {
		t.Errorf("got\n%s", log)
	}
}

// TestWishesUnheard: of several wishes at the same time the one that waits for fewest counts.
func TestWishesUnheard(t *testing.T) {
	p := newPlane()
	first := true
	p.refuse = func(int) error { // while nobody obeys yet
		if first {
			first = false
			for _, how := range []command.Ending{command.AfterClients, command.AtOnce, command.AfterTransactions} {
				p.options.Shutdown(how)
			}
		}
		return nil
	}
	x := start(p, "-c", configFile(t, good))
	if code := <-x.exit; code != 0 || len(p.draining) != 0 {
		t.Errorf("exit code %d, and it waits\n%s", code, x.err.String())
	}
}

// TestIniSignalsWhileEnding: while the program waits for its clients they can be held and let go on, and SIGHUP reads the file and opens the
// log's anew.
func TestIniSignalsWhileEnding(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		bouncer(t, ini+"logfile = log\n")
		p := newPlane()
		x := start(p, "--pgbouncer-ini", "p.ini")
		<-p.applied
		x.err.wait("heliosproxy ready")
		x.signals <- s
		<-x.draining
		for more, want := range map[syscall.Signal]string{syscall.SIGUSR1: "paused", syscall.SIGUSR2: "resumed"} {
			x.signals <- more
			if got := <-x.held; got != want {
				t.Errorf("%v, %v: %s", s, more, got)
			}
		}
		x.err.wait("who is busy")
		if err := os.Rename("log", "old"); err != nil {
			t.Fatal(err)
		}
		write(t, "p.ini", ini+"logfile = log\ndefault_pool_size = 4\n")
		x.signals <- syscall.SIGHUP
		if set := <-p.applied; set.PoolProfiles["default"].GetMaxConnections() != 4 {
			t.Errorf("%v: got %v", s, set.PoolProfiles)
		}
		x.err.wait("configuration reloaded")
		close(x.drained)
		if code := <-x.exit; code != 0 {
			t.Errorf("%v: exit code %d", s, code)
		}
		if log, err := os.ReadFile("log"); err != nil || strings.Contains(string(log), "who is busy") || !strings.Contains(string(log), "heliosproxy ended") {
			t.Errorf("%v: the log: %q, %v", s, log, err)
		}
	}
}

// TestReloadSays: who asks for a reload hears the first thing that is wrong, and how many more there are.
func TestReloadSays(t *testing.T) {
	path := configFile(t, good)
	x := start(newPlane(), "-c", path)
	x.err.wait("heliosproxy ready")
	for content, want := range map[string]string{
		warned + "[pol]\n":           ":6: pol: unknown key; the nearest known one is pool",
		warned + "[pol]\n[a]\n[b]\n": ":6: pol: unknown key; the nearest known one is pool (and 2 more in the log)",
	} {
		write(t, path, content)
		if err := x.options.Reload(t.Context()); err == nil || err.Error() != "the file is invalid: "+path+want {
			t.Errorf("got %v", err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := x.options.Reload(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "no such file or directory") {
		t.Errorf("got %v", err)
	}
	close(x.signals)
	<-x.exit
}
