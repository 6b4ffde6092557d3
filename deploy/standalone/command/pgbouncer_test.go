package command_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
	"github.com/heliosproxy/heliosproxy/deploy/standalone/command"
)

const (
	ini = "[databases]\nshop = host=db\n[pgbouncer]\nlisten_addr = 127.0.0.1\nunix_socket_dir =\nauth_file = userlist\n"
	// What is told of these is the same whatever this release knows.
	iniNote    = "pkt_buf = 8192\n"
	iniWarning = "server_fast_close = 1\n"
	iniError   = "pool_mode = fast\n"
)

// bouncer writes a pgbouncer.ini and runs the test beside it.
func bouncer(t *testing.T, content string) {
	t.Helper()
	t.Chdir(t.TempDir())
	write(t, "userlist", "\"ann\" \"x\"\n")
	write(t, "p.ini", content)
}

func TestImport(t *testing.T) {
	for _, tt := range []struct {
		content, args string
		code          int
		out, err      string // parts
	}{
		{ini, "", 0, "\n[[databases]]\nname = \"shop\"\n", ""},
		{ini + iniNote, "", 0, "[proxy]", "p.ini:7: pkt_buf: note: not carried over, buffers have the size that the data asks for\n"},
		{ini + iniWarning, "", 3, "[proxy]", "p.ini:7: server_fast_close: not carried over, a session keeps its server connection when settings change\n"},
		{ini + "verbos = 1\n", "", 3, "[proxy]", "p.ini:7: verbos: unknown parameter: pgbouncer/verbos: passed over, where PgBouncer would not start\n"},
		{ini + iniError, "", 1, "", "p.ini:7: pool_mode: error: \"fast\" is not one of session, transaction, statement\n"},
		{ini, "--resources", 0, "kind: Database\nmetadata:\n  name: shop\n", ""},
		{ini, "-o x.toml", 0, "", ""},
		{ini, "-o userlist", 1, "", "heliosproxy: open userlist: file exists\n"},
	} {
		bouncer(t, tt.content)
		code, out, err := run(append([]string{"import", "pgbouncer", "p.ini"}, strings.Fields(tt.args)...)...)
		if code != tt.code || !strings.Contains(out, tt.out) || (out == "") != (tt.out == "") || err != tt.err {
			t.Errorf("%q %s: got %d, %q, %q", tt.content, tt.args, code, out, err)
		}
		if tt.args == "-o x.toml" {
			st, err := os.Stat("x.toml")
			if err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("the file that was written: %v, %v", st, err)
			}
			if file, findings, err := configfile.Load("x.toml"); file == nil {
				t.Errorf("it does not load: %v, %v", findings, err)
			}
		}
	}
}

func TestCheckIni(t *testing.T) {
	for _, tt := range []struct {
		content, strict string
		code            int
		want            string
	}{
		{ini, "--strict", 0, ""},
		{ini + iniNote, "--strict", 0, "p.ini:7: pkt_buf: not carried over, buffers have the size that the data asks for\n"},
		{ini + iniWarning, "", 0, "p.ini:7: server_fast_close: not carried over, a session keeps its server connection when settings change\n"},
		{ini + iniWarning, "--strict", 1, "p.ini:7: server_fast_close: not carried over, a session keeps its server connection when settings change\n"},
		{ini + iniError, "", 1, "p.ini:7: pool_mode: \"fast\" is not one of session, transaction, statement\n"},
	} {
		bouncer(t, tt.content)
		args := append([]string{"check", "--pgbouncer-ini", "p.ini"}, strings.Fields(tt.strict)...)
		if code, out, err := run(args...); code != tt.code || out != tt.want || err != "" {
			t.Errorf("%q %s: got %d, %q, %q", tt.content, tt.strict, code, out, err)
		}
	}
	if code, _, err := run("check", "--pgbouncer-ini", "p.ini", "--config", "x"); code != 2 || !strings.Contains(err, "--config and --pgbouncer-ini are two configurations: give one") {
		t.Errorf("two configurations: got %d, %q", code, err)
	}
}

// TestCheckIniFiles: check fails where the start would for the log's file and the process number's, and leaves nothing behind.
func TestCheckIniFiles(t *testing.T) {
	const taken = " exists: another process runs with it, or has left it behind"
	for _, tt := range []struct {
		content, pid string // pid is what the pidfile has; empty: there is none
		runs         bool   // a proxy does
		code         int
		want         string // DIR stands for the directory
	}{
		{"logfile = no/x.log\n", "", false, 1, "fail  log file  open DIR/no/x.log: no such file or directory\n"},
		{"pidfile = no/x.pid\n", "", false, 1, "fail  pidfile  open DIR/no/x.pid: no such file or directory\n"},
		{"logfile = .\n", "", false, 1, "fail  log file  open DIR: is a directory\n"},
		{"pidfile = .\n", "", false, 1, "fail  pidfile  read DIR: is a directory\n"},
		{"logfile = x.log\npidfile = x.pid\n", "", false, 0, "ok    log file  DIR/x.log can be written\nok    pidfile   DIR/x.pid can be written\n"},
		{"logfile = userlist\n", "", false, 0, "ok    log file  DIR/userlist can be written\n"},
		{"pidfile = x.pid\n", fmt.Sprintln(1<<22 + 1), false, 0, "ok    pidfile  DIR/x.pid can be written\n"},
		{"pidfile = x.pid\n", fmt.Sprintln(os.Getppid()), false, 1, "fail  pidfile  DIR/x.pid" + taken + "\n"},
		{"pidfile = x.pid\n", fmt.Sprintln(os.Getppid()), true, 0, fmt.Sprintf("warn  listener  in use\nwarn  pidfile   DIR/x.pid has the number of a process that runs, %d\n", os.Getppid())},
		{"pidfile = x.pid\n", "x\n", true, 1, "warn  listener  in use\nfail  pidfile   DIR/x.pid" + taken + "\n"},
	} {
		bouncer(t, ini+tt.content)
		if tt.pid != "" {
			write(t, "x.pid", tt.pid)
		}
		before, _ := filepath.Glob("*")
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		code := command.Program{
			Out: &out, Err: &out,
			Try: func(context.Context, *configfile.File, bool) (all []command.Outcome) {
				if tt.runs {
					all = append(all, command.Outcome{Level: command.Warn, What: "listener", Why: "in use", Runs: true})
				}
				return all
			},
		}.Main([]string{"check", "--pgbouncer-ini", "p.ini"})
		if want := strings.ReplaceAll(tt.want, "DIR", dir); code != tt.code || out.String() != want {
			t.Errorf("%q: got %d, %q, want %d, %q", tt.content, code, out.String(), tt.code, want)
		}
		entries, err := os.ReadDir(".")
		if err != nil || len(entries) != len(before) {
			t.Errorf("%q: left %v, %v", tt.content, entries, err)
		}
	}
}

// TestIniSignals: each of PgBouncer's signals, and what the log and the pidfile say.
func TestIniSignals(t *testing.T) {
	for _, tt := range []struct {
		name    string
		signals []syscall.Signal
		args    []string
		drained bool // sessions end by themselves
		want    string
		closed  bool
	}{
		{"INT", []syscall.Signal{syscall.SIGINT}, nil, true, "heliosproxy ended", true},
		{"TERM", []syscall.Signal{syscall.SIGTERM}, nil, true, "heliosproxy ended", true},
		{"QUIT", []syscall.Signal{syscall.SIGQUIT}, nil, false, "ending at once", true},
		{"twice", []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGINT}, nil, false, "ending at once", false},
		{"a bound", []syscall.Signal{syscall.SIGTERM}, []string{"--drain-timeout", "1ns"}, false, "sessions were cut off", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bouncer(t, ini+"pidfile = pid\nlogfile = log\n")
			p := newPlane()
			x := start(p, append([]string{"--pgbouncer-ini", "p.ini"}, tt.args...)...)
			<-p.applied
			x.err.wait("heliosproxy ready")
			if text, err := os.ReadFile("pid"); err != nil || string(text) != fmt.Sprintln(os.Getpid()) {
				t.Errorf("pidfile: %q, %v", text, err)
			}
			if tt.drained {
				close(x.drained)
			}
			for _, s := range tt.signals {
				x.signals <- s
			}
			if code := <-x.exit; code != 0 {
				t.Errorf("exit code %d", code)
			}
			if tt.closed {
				<-p.closed
			}
			log, err := os.ReadFile("log")
			if err != nil || !strings.Contains(string(log), tt.want) || !bytes.HasSuffix([]byte(x.err.String()), log) {
				t.Errorf("the log: %v\n%s\nstderr:\n%s", err, log, x.err.String())
			}
			if _, err := os.Stat("pid"); !os.IsNotExist(err) {
				t.Errorf("the pidfile is still there: %v", err)
			}
		})
	}
}

// TestIniPause: SIGUSR1 holds all clients, SIGUSR2 lets them go on, and neither ends the program.
func TestIniPause(t *testing.T) {
	bouncer(t, ini)
	x := start(newPlane(), "--pgbouncer-ini", "p.ini")
	x.err.wait("heliosproxy ready")
	for s, want := range map[syscall.Signal]string{syscall.SIGUSR1: "paused", syscall.SIGUSR2: "resumed"} {
		x.signals <- s
		if got := <-x.held; got != want {
			t.Errorf("%v: %s", s, got)
		}
	}
	x.err.wait("who is busy") // a PAUSE that is not complete is told
	x.signals <- syscall.SIGQUIT
	if code := <-x.exit; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestIniReload: SIGHUP reads the ini and what it includes again, and opens the log's file anew.
func TestIniReload(t *testing.T) {
	bouncer(t, ini+"logfile = log\n%include more\n")
	write(t, "more", "default_pool_size = 3\n")
	p := newPlane()
	x := start(p, "--pgbouncer-ini", "p.ini")
	if s := <-p.applied; s.PoolProfiles["default"].GetMaxConnections() != 3 {
		t.Errorf("got %v", s.PoolProfiles)
	}
	if !x.options.AdminOptional || x.options.Config != "p.ini" {
		t.Errorf("got %+v", x.options)
	}
	x.err.wait("heliosproxy ready")
	if err := os.Rename("log", "old"); err != nil {
		t.Fatal(err)
	}
	write(t, "more", "default_pool_size = 4\n")
	x.signals <- syscall.SIGHUP
	if s := <-p.applied; s.PoolProfiles["default"].GetMaxConnections() != 4 {
		t.Errorf("got %v", s.PoolProfiles)
	}
	x.err.wait("configuration reloaded")
	write(t, "more", "\ndefault_pool_size = four\n")
	x.signals <- syscall.SIGHUP
	x.err.wait("the one before stays in force")
	x.signals <- syscall.SIGQUIT
	<-x.exit
	if log, err := os.ReadFile("log"); err != nil || strings.Contains(string(log), "heliosproxy ready") || !strings.Contains(string(log), "configuration reloaded") {
		t.Errorf("the log: %q, %v", log, err)
	}
	if !strings.Contains(x.err.String(), "more:2: default_pool_size: \"four\" is not a whole number\n") {
		t.Errorf("got\n%s", x.err.String())
	}
}

// TestPidfile: that of a process which lives is respected, any other is not in the way.
func TestPidfile(t *testing.T) {
	for text, want := range map[string]bool{
		fmt.Sprintln(os.Getppid()): false, "x\n": false, "": false, fmt.Sprintln(os.Getpid()): true, fmt.Sprintln(1<<22 + 1): true,
	} {
		bouncer(t, ini+"pidfile = pid\n")
		write(t, "pid", text)
		x := start(newPlane(), "--pgbouncer-ini", "p.ini")
		x.signals <- syscall.SIGQUIT
		code := <-x.exit
		if refused := strings.Contains(x.err.String(), "another process runs with it"); code == 0 != want || refused == want {
			t.Errorf("%q: got %d, %s", text, code, x.err.String())
		}
		if _, err := os.Stat("pid"); os.IsNotExist(err) != want {
			t.Errorf("%q: the pidfile: %v", text, err)
		}
	}
	bouncer(t, ini+"logfile = "+filepath.Join("no", "where")+"\n")
	if code, _, err := run("--pgbouncer-ini", "p.ini"); code != 1 || !strings.Contains(err, "log file: open ") {
		t.Errorf("a log that cannot be written: got %d, %s", code, err)
	}
}

// TestPidfileOfSuccessor: a process that takes another one's place puts its number in place of that one's, which leaves it alone at its end.
func TestPidfileOfSuccessor(t *testing.T) {
	bouncer(t, ini+"pidfile = pid\n")
	write(t, "pid", "1\n") // a process that lives
	x := start(newPlane(), "--pgbouncer-ini", "p.ini", "--takeover", "--state-dir", t.TempDir())
	x.err.wait("heliosproxy ready")
	if text, err := os.ReadFile("pid"); string(text) != fmt.Sprintln(os.Getpid()) || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	write(t, "pid", "1\n") // the next one
	x.signals <- syscall.SIGQUIT
	if code := <-x.exit; code != 0 {
		t.Errorf("exit %d: %s", code, x.err.String())
	}
	if text, err := os.ReadFile("pid"); string(text) != "1\n" || err != nil {
		t.Errorf("the successor's number: %q, %v", text, err)
	}
}

// TestIniVerbose: verbose goes where --log-level is not given, and a reload does not change it.
func TestIniVerbose(t *testing.T) {
	for _, tt := range []struct {
		content, want string
		args          []string
	}{
		{ini, "info", nil},
		{ini + "verbose = 0\n", "info", nil},
		{ini + "verbose = 1\n", "debug", nil},
		{ini + "verbose = 1\n", "info", []string{"--log-level", "info"}},
		{ini, "warn", []string{"--log-level", "warn"}},
	} {
		bouncer(t, tt.content)
		p := newPlane()
		x := start(p, append([]string{"--pgbouncer-ini", "p.ini"}, tt.args...)...)
		<-p.applied
		<-p.met
		level := p.options.LogLevel
		if level.String() != tt.want || level.Begun() != tt.want {
			t.Errorf("%q %v: %s", tt.content, tt.args, level)
		}
		if tt.want == "debug" {
			_ = level.Set("warn")
			write(t, "p.ini", ini)
			x.signals <- syscall.SIGHUP
			x.err.wait(`this setting is read at start only	{"key": "verbose"}`)
			if level.String() != "warn" {
				t.Errorf("after a reload it is %s", level)
			}
		}
		close(x.signals)
		if code := <-x.exit; code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// TestIniWishes: an administrator ends the program as the signal of the same meaning does: without a bound, and a further signal is no failure.
func TestIniWishes(t *testing.T) {
	for _, how := range []command.Ending{command.AtOnce, command.AfterTransactions, command.AfterClients} {
		for _, patient := range []bool{true, false} {
			bouncer(t, ini)
			x := start(newPlane(), "--pgbouncer-ini", "p.ini")
			x.err.wait("heliosproxy ready")
			x.options.Shutdown(how)
			if how != command.AtOnce {
				<-x.draining
				if patient {
					close(x.drained)
				} else {
					x.signals <- syscall.SIGTERM
				}
			}
			if code := <-x.exit; code != 0 {
				t.Errorf("%d: exit code %d\n%s", how, code, x.err.String())
			}
		}
	}
}
