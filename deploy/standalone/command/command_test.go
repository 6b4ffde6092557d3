package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
	"github.com/heliosproxy/heliosproxy/deploy/standalone/command"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/version"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	good    = "[[nodes]]\nhost = \"db\"\nrole = \"primary\"\n"
	warned  = good + "[load_balancer]\nread_write_split = true\n"
	invalid = good + "[pol]\n"

	warning = ":5: load_balancer.read_write_split: not in this release, every statement goes to the primary\n"
	mistake = ":4: pol: unknown key; the nearest known one is pool\n"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func configFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "proxy.toml")
	write(t, path, content)
	return path
}

// output is a buffer that many may write to and that can be waited on.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	written chan struct{} // closed by the next Write
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.written != nil {
		close(o.written)
		o.written = nil
	}
	return o.buf.Write(b)
}

// wait returns when the output contains text.
func (o *output) wait(text string) {
	for {
		o.mu.Lock()
		if strings.Contains(o.buf.String(), text) {
			o.mu.Unlock()
			return
		}
		if o.written == nil {
			o.written = make(chan struct{})
		}
		written := o.written
		o.mu.Unlock()
		<-written
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// plane is a data plane that says what is done to it.
type plane struct {
	options  command.Options
	applied  chan *resource.Set
	refuse   func(nth int) error // what Apply answers; nil: nothing
	count    int
	draining chan string   // Drain or Leave has begun
	drained  chan struct{} // Drain returns when it is closed
	closed   chan struct{}
	held     chan string // what is done to clients, and that files are read
	unread   error       // of files
	met      chan *heliosv1.Peers
}

func newPlane() *plane {
	return &plane{
		applied: make(chan *resource.Set, 9), draining: make(chan string, 9), drained: make(chan struct{}), closed: make(chan struct{}),
		held: make(chan string, 9), met: make(chan *heliosv1.Peers, 9),
	}
}

func (p *plane) Apply(s *resource.Set) error {
	p.count++
	p.applied <- s
	if p.refuse == nil {
		return nil
	}
	return p.refuse(p.count)
}

func (p *plane) Meet(said *heliosv1.Peers) { p.met <- said }

func (p *plane) Addresses() map[string]string { return map[string]string{"default": "127.0.0.1:1"} }

func (p *plane) Drain(ctx context.Context) error { return p.wait(ctx, "drain") }

func (p *plane) Leave(ctx context.Context) error { return p.wait(ctx, "leave") }

func (p *plane) wait(ctx context.Context, how string) error {
	p.draining <- how
	select {
	case <-p.drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *plane) Pause(context.Context) error { p.held <- "paused"; return errors.New("who is busy") }
func (p *plane) Resume()                     { p.held <- "resumed" }

func (p *plane) Alive(context.Context) error { return nil }

func (p *plane) ReadFiles() error { p.held <- "read"; return p.unread }

func (p *plane) Close() error { close(p.closed); return nil }

// process is a program under test.
type process struct {
	*plane
	out, err output
	signals  chan os.Signal
	exit     chan int
}

func start(p *plane, args ...string) *process {
	x := &process{plane: p, signals: make(chan os.Signal, 9), exit: make(chan int, 1)}
	program := command.Program{
		Out: &x.out, Err: &x.err, Signals: x.signals,
		Start: func(o command.Options) (command.DataPlane, error) { p.options = o; return p, nil },
	}
	go func() { x.exit <- program.Main(args) }()
	return x
}

func run(args ...string) (code int, out, err string) {
	x := start(newPlane(), args...)
	close(x.signals)
	code = <-x.exit
	return code, x.out.String(), x.err.String()
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name, content, strict string
		code                  int
		want                  string // after the file's name
	}{
		{"good", good, "", 0, ""},
		{"good strict", good, "--strict", 0, ""},
		{"warning", warned, "", 0, warning},
		{"warning strict", warned, "--strict", 1, warning},
		{"error", invalid, "", 1, mistake},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := configFile(t, tt.content)
			args := []string{"check", "--config", path}
			if tt.strict != "" {
				args = append(args, tt.strict)
			}
			want := tt.want
			if want != "" {
				want = path + want
			}
			if code, out, err := run(args...); code != tt.code || out != want || err != "" {
				t.Errorf("got %d, %q, %q, want %d, %q", code, out, err, tt.code, want)
			}
		})
	}
}

// TestCheckTries: what a file names is tried, and the worst of it decides.
func TestCheckTries(t *testing.T) {
	path := configFile(t, good)
	const good, worse, bad = "ok    node a   reached\n", "warn  address  in use\n", "fail  node bc  no answer\n"
	for _, tt := range []struct {
		levels, flags string
		code          int
		want          string
	}{
		{"ok", "", 0, "ok    node a  reached\n"},
		{"ok warn", "", 0, "ok    node a   reached\nwarn  address  in use\n"},
		{"ok warn", "--strict", 1, good + worse},
		{"ok warn fail", "", 1, good + worse + bad},
		{"ok warn fail", "--offline", 0, "warn  address  in use\n"},
	} {
		var out bytes.Buffer
		code := command.Program{
			Out: &out, Err: &out,
			Try: func(_ context.Context, f *configfile.File, offline bool) (all []command.Outcome) {
				if f.Set.Nodes["db"] == nil && len(f.Set.Nodes) != 1 {
					t.Errorf("got %v", f.Set)
				}
				for _, o := range []command.Outcome{
					{Level: command.OK, What: "node a", Why: "reached"},
					{Level: command.Warn, What: "address", Why: "in use"},
					{Level: command.Fail, What: "node bc", Why: "no\nanswer"},
				} {
					if strings.Contains(tt.levels, string(o.Level)) && (!offline || o.Level == command.Warn) {
						all = append(all, o)
					}
				}
				return all
			},
		}.Main(append([]string{"check", "-c", path}, strings.Fields(tt.flags)...))
		if code != tt.code || out.String() != tt.want {
			t.Errorf("%s %s: got %d, %q, want %d, %q", tt.levels, tt.flags, code, out.String(), tt.code, tt.want)
		}
	}
}

// TestCheckJSON: the same in one document, with the same exit codes.
func TestCheckJSON(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		flags         []string
		tried         []command.Outcome
		code          int
		want          string // FILE stands for the path
	}{
		{"good", good, nil, nil, 0, `{"file":"FILE","passed":true,"findings":[],"tried":[]}`},
		{
			"tried", warned, nil,
			[]command.Outcome{{Level: command.OK, What: "node a", Why: "reached"}, {Level: command.Warn, What: "b", Why: "in use\nby <x>"}},
			0,
			`{"file":"FILE","passed":true,"findings":[{"file":"FILE","line":5,"key":"load_balancer.read_write_split","severity":"warning","sentence":"not in this release, every statement goes to the primary"}],` +
				`"tried":[{"level":"ok","what":"node a","why":"reached"},{"level":"warn","what":"b","why":"in use\nby <x>"}]}`,
		},
		{
			"strict", good,
			[]string{"--strict"},
			[]command.Outcome{{Level: command.Warn, What: "b", Why: "c"}},
			1,
			`{"file":"FILE","passed":false,"findings":[],"tried":[{"level":"warn","what":"b","why":"c"}]}`,
		},
		{
			"failed", good, nil,
			[]command.Outcome{{Level: command.Fail, What: "b", Why: "c"}},
			1,
			`{"file":"FILE","passed":false,"findings":[],"tried":[{"level":"fail","what":"b","why":"c"}]}`,
		},
		{
			"invalid", invalid, nil,
			[]command.Outcome{{Level: command.OK, What: "b", Why: "is not tried"}},
			1,
			`{"file":"FILE","passed":false,"findings":[{"file":"FILE","line":4,"key":"pol","severity":"error","sentence":"unknown key; the nearest known one is pool"}],"tried":[]}`,
		},
	} {
		path := configFile(t, tt.content)
		var out, said bytes.Buffer
		code := command.Program{
			Out: &out, Err: &said,
			Try: func(context.Context, *configfile.File, bool) []command.Outcome { return tt.tried },
		}.Main(append([]string{"check", "-c", path, "-o", "json"}, tt.flags...))
		var got bytes.Buffer
		if err := json.Compact(&got, out.Bytes()); err != nil {
			t.Errorf("%s: %v in %s", tt.name, err, &out)
		}
		if want := strings.ReplaceAll(tt.want, "FILE", path); code != tt.code || got.String() != want || said.Len() > 0 {
			t.Errorf("%s: got %d, %s, %q, want %d, %s", tt.name, code, &got, &said, tt.code, want)
		}
	}
}

// TestAnswers is what ends at once, without a data plane.
func TestAnswers(t *testing.T) {
	path, bad := configFile(t, good), configFile(t, invalid)
	const usage = "\nRun 'heliosproxy --help' for usage.\n"
	for _, tt := range []struct {
		args []string
		code int
		want string // in both outputs together
	}{
		{[]string{"version"}, 0, version.Line() + "\n"},
		{[]string{}, 2, "heliosproxy: --config FILE is missing" + usage},
		{[]string{"check"}, 2, "heliosproxy: --config FILE is missing" + usage},
		{[]string{"frob"}, 2, `heliosproxy: unknown command "frob" for "heliosproxy"` + usage},
		{[]string{"check", "--frob"}, 2, "heliosproxy: unknown flag: --frob" + usage},
		{[]string{"check", "-c", path, "-o", "xml"}, 2, "heliosproxy: -o xml is not json" + usage},
		{[]string{"check", "-c", path + "x", "-o", "json"}, 1, "heliosproxy: read config: open " + path + "x: no such file or directory\n"},
		{[]string{"check", "-c", path, "x"}, 2, `heliosproxy: unknown command "x" for "heliosproxy check"` + usage},
		{[]string{"-c", path, "--log-level", "loud"}, 2, `heliosproxy: log level "loud" is not one of debug, info, warn, error` + usage},
		{[]string{"-c", path, "--loops", "-1"}, 2, "heliosproxy: --loops -1 is negative" + usage},
		{[]string{"-c", path, "--drain-timeout", "-1s"}, 2, "heliosproxy: --drain-timeout -1s is negative" + usage},
		{[]string{"-c", path, "--listen", "127.0.0.1:1"}, 2, "heliosproxy: --listen 127.0.0.1:1: want NAME=HOST:PORT or NAME=unix:/path" + usage},
		{[]string{"-c", path, "--listen", "a=b"}, 2, `heliosproxy: --listen a=b: "b" is neither HOST:PORT with an IP address as host nor unix:PATH` + usage},
		{[]string{"-c", path, "--listen", "a=unix:/1", "--listen", "a=unix:/2"}, 2, "heliosproxy: --listen a=unix:/2: a has an address already" + usage},
		{[]string{"-c", path, "--listen", "a=unix:/1"}, 2, "heliosproxy: --listen a: " + path + " has no such listener but default" + usage},
		{[]string{"-c", path + "x"}, 1, "heliosproxy: read config: open " + path + "x: no such file or directory\n"},
		{[]string{"check", "-c", path + "x"}, 1, "heliosproxy: read config: open " + path + "x: no such file or directory\n"},
		{[]string{"-c", bad}, 1, bad + mistake},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			if code, out, err := run(tt.args...); code != tt.code || out+err != tt.want {
				t.Errorf("got %d, %q, want %d, %q", code, out+err, tt.code, tt.want)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	path := configFile(t, "admin_token = \"t\"\n[proxy]\nloops = 3\n"+good)
	x := start(newPlane(), "-c", path, "--node-id", "n1", "--listen", "default=127.0.0.1:7")
	close(x.signals)
	<-x.exit
	o := x.options
	if o.NodeID != "n1" || o.Loops != 3 || o.AdminToken != "t" || o.AdminAddress != "127.0.0.1:9090" || o.Listen["default"] != "127.0.0.1:7" || o.Log == nil {
		t.Errorf("got %+v", o)
	}
	host, _ := os.Hostname()
	x = start(newPlane(), "-c", path, "--loops", "0")
	close(x.signals)
	<-x.exit
	if x.options.NodeID != host || x.options.Loops != 0 {
		t.Errorf("got %+v", x.options)
	}
}

func TestStartFails(t *testing.T) {
	p := newPlane()
	p.refuse = func(int) error { return errors.New("the port is taken") }
	path := configFile(t, good)
	x := start(p, "-c", path)
	if code := <-x.exit; code != 1 || x.err.String() != "heliosproxy: apply "+path+": the port is taken\n" {
		t.Errorf("got %d, %q", code, x.err.String())
	}
	<-p.closed
}

// TestDrain: SIGTERM drains, SIGHUP while draining does nothing, and the program ends with 0.
func TestDrain(t *testing.T) {
	x := start(newPlane(), "-c", configFile(t, warned))
	x.signals <- syscall.SIGTERM
	<-x.draining
	x.signals <- syscall.SIGHUP
	x.err.wait("nothing is read again, as the proxy is ending")
	close(x.drained)
	if code := <-x.exit; code != 0 || len(x.applied) != 1 {
		t.Errorf("exit code %d, applied %d times", code, len(x.applied))
	}
	<-x.closed
	log := x.err.String()
	if !strings.Contains(log, warning) || !strings.Contains(log, "heliosproxy ready") || !strings.Contains(log, `"listeners": {"default":"127.0.0.1:1"}`) {
		t.Errorf("the log lacks something:\n%s", log)
	}
}

func TestDrainTimeout(t *testing.T) {
	for name, args := range map[string][]string{
		"flag": {"-c", configFile(t, good), "--drain-timeout", "1ns"},
		"file": {"-c", configFile(t, "[proxy]\ndrain_timeout_secs = 0\n"+good)},
	} {
		x := start(newPlane(), args...)
		x.signals <- syscall.SIGINT
		if code := <-x.exit; code != 0 || !strings.Contains(x.err.String(), "sessions were cut off") {
			t.Errorf("%s: got %d\n%s", name, code, x.err.String())
		}
		<-x.closed
	}
}

// TestWishes does what administrators want: the configuration is read again, and the program ends in each of the ways.
func TestWishes(t *testing.T) {
	for _, how := range []command.Ending{command.AtOnce, command.AfterTransactions, command.AfterClients} {
		path := configFile(t, good)
		x := start(newPlane(), "-c", path)
		x.err.wait("heliosproxy ready")
		if err := x.options.Reload(t.Context()); err != nil || len(x.applied) != 2 {
			t.Errorf("%v, applied %d times", err, len(x.applied))
		}
		if err := os.WriteFile(path, []byte(invalid), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := x.options.Reload(t.Context()); err == nil || err.Error() != "the file is invalid: "+path+strings.TrimSpace(mistake) || len(x.applied) != 2 {
			t.Errorf("an invalid file: %v, applied %d times", err, len(x.applied))
		}
		x.options.Shutdown(how)
		if how != command.AtOnce {
			<-x.draining
			if err := x.options.Reload(t.Context()); err == nil {
				t.Error("it reads the file while it ends")
			}
			close(x.drained)
		}
		if code := <-x.exit; code != 0 {
			t.Errorf("exit code %d", code)
		}
		<-x.closed
	}
}

func TestSecondSignal(t *testing.T) {
	x := start(newPlane(), "-c", configFile(t, good))
	x.signals <- syscall.SIGTERM
	<-x.draining
	x.signals <- syscall.SIGINT
	if code := <-x.exit; code != 1 || !strings.Contains(x.err.String(), "ending at once") {
		t.Errorf("got %d\n%s", code, x.err.String())
	}
}

// TestReload: SIGHUP puts a valid file in force, and an invalid one, a refused one and one without the
// listener that the command line names leave things as they are.
func TestReload(t *testing.T) {
	path := configFile(t, good)
	p := newPlane()
	x := start(p, "-c", path, "--listen", "unix=unix:/x")
	if code := <-x.exit; code != 2 {
		t.Fatalf("there is no listener unix, got %d", code)
	}

	x = start(p, "-c", path, "--listen", "default=0.0.0.0:7")
	<-p.applied
	write(t, path, "auth.mode = \"trust\"\nadmin_address = \"127.0.0.1:9\"\n[pool]\nmax_connections = 7\n[proxy]\ndrain_timeout_secs = 0\npeer_id = 5\n[[peers]]\npeer_id = 6\naddress = \"10.0.0.6:1\"\n"+good)
	x.signals <- syscall.SIGHUP
	if s := <-p.applied; s.PoolProfiles["default"].GetMaxConnections() != 7 {
		t.Errorf("got %v", s.PoolProfiles)
	}
	x.err.wait("configuration reloaded")
	if did := <-p.held; did != "read" {
		t.Errorf("certificates are not read again: %s", did)
	}
	if at, then := <-p.met, <-p.met; at.GetYourNumber() != 0 || then.GetYourNumber() != 5 || len(then.GetPeers()) != 1 {
		t.Errorf("the peers are %v, then %v", at, then)
	}
	write(t, path, invalid)
	x.signals <- syscall.SIGHUP
	x.err.wait("the file is invalid")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	x.signals <- syscall.SIGHUP
	x.signals <- syscall.SIGTERM // the timeout is that of the reloaded file
	if code := <-x.exit; code != 0 || len(p.applied) != 0 {
		t.Errorf("got %d, applied %d times more", code, len(p.applied))
	}
	log := x.err.String()
	for _, want := range []string{
		"\tINFO\tconfiguration reloaded", `this setting is read at start only	{"key": "proxy.admin_address"}`,
		`trust lets in everybody who reaches the listener, under any name and without a password	{"listener": "default", "address": "0.0.0.0:7"}`,
		path + mistake, "the one before stays in force", "no such file or directory",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}

// TestReloadRefused: what a machine refuses leaves the old file in force too.
func TestReloadRefused(t *testing.T) {
	path := configFile(t, good)
	p := newPlane()
	p.refuse = func(nth int) error {
		if nth == 1 {
			return nil
		}
		return errors.New("the port is taken")
	}
	x := start(p, "-c", path)
	<-p.applied
	write(t, path, "[proxy]\ndrain_timeout_secs = 0\n"+good)
	x.signals <- syscall.SIGHUP
	<-p.applied
	x.signals <- syscall.SIGTERM
	<-x.draining
	if log := x.err.String(); !strings.Contains(log, "the one before stays in force") || !strings.Contains(log, `"timeout": "1m0s"`) {
		t.Errorf("got\n%s", log)
	}
	close(x.drained)
	<-x.exit
}
