package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// processes are a control plane and its proxies, each a process of its own.
type processes struct {
	t             *testing.T
	dir           string
	admin, stream string
	control       *exec.Cmd
	proxies       map[string]*exec.Cmd
	ports         map[string]int
	log           *syncBuffer // of all
}

// startProcesses starts a control plane and the proxies that are named.
func startProcesses(t *testing.T, names ...string) *processes {
	t.Helper()
	at := func() string { return fmt.Sprintf("127.0.0.1:%d", freeport.For(t)) }
	p := &processes{t: t, dir: t.TempDir(), admin: at(), stream: at(), proxies: map[string]*exec.Cmd{}, ports: map[string]int{}, log: &syncBuffer{}}
	t.Cleanup(func() {
		for name := range p.proxies {
			p.kill(p.proxies[name])
		}
		p.kill(p.control)
		if text := p.log.String(); strings.Contains(text, "panic") || strings.Contains(text, "DATA RACE") {
			t.Error("a log tells of a panic or a race")
		}
		if t.Failed() {
			t.Logf("the processes logged:\n%s", p.log.String())
		}
	})
	p.startControl()
	for _, name := range names {
		p.ports[name] = freeport.For(t)
		p.startProxy(name)
	}
	return p
}

func (p *processes) start(args ...string) *exec.Cmd {
	p.t.Helper()
	cmd := exec.Command(program(p.t), args...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return cmd
}

// kill is kill -9.
func (p *processes) kill(cmd *exec.Cmd) {
	if cmd != nil && cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func (p *processes) startControl(more ...string) {
	p.t.Helper()
	p.control = p.start(append([]string{
		"controlplane", "--data-dir", p.dir + "/cp", "--admin-listen", p.admin, "--stream-listen", p.stream, "--admin-address", "",
	}, more...)...)
	Within(p.t, patience, "the control plane answers", func() bool {
		code, _ := p.helioctl("", "get", "all")
		return code == 0
	})
}

func (p *processes) startProxy(name string, more ...string) {
	p.t.Helper()
	p.proxies[name] = p.start(append([]string{
		"dataplane", "--node-id", name, "--control-plane", p.stream, "--token-file", p.dir + "/cp/node.token", "--admin-address", "",
		"--state-dir", filepath.Join(p.dir, name), "--listen", fmt.Sprintf("main=127.0.0.1:%d", p.ports[name]),
	}, more...)...)
}

// helioctl runs helioctl and returns its exit code and all that it has printed.
func (p *processes) helioctl(in string, args ...string) (int, string) {
	p.t.Helper()
	path := os.Getenv("HELIOCTL")
	if path == "" {
		path = "../../bin/helioctl"
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "HELIOCTL_CONFIG=/dev/null", "HELIOCTL_SERVER="+p.admin, "HELIOCTL_TOKEN_FILE="+p.dir+"/cp/admin.token")
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// want runs helioctl and wants an exit code and patterns in what it prints.
func (p *processes) want(code int, in string, args []string, patterns ...string) string {
	p.t.Helper()
	got, out := p.helioctl(in, args...)
	if got != code {
		p.t.Errorf("helioctl %v: exit code %d, want %d\n%s", args, got, code, out)
	}
	for _, x := range patterns {
		if !regexp.MustCompile("(?m)" + x).MatchString(out) {
			p.t.Errorf("helioctl %v lacks %s in\n%s", args, x, out)
		}
	}
	return out
}

// member is a proxy in fleet status.
type member struct {
	Node, State, Hash, Source string
	Rejection                 *struct{ Stage string }
}

// fleet is fleet status by name, and the hash that all should have.
func (p *processes) fleet() (map[string]member, string) {
	code, out := p.helioctl("", "fleet", "status", "-o", "json")
	var f struct {
		Hash  string
		Nodes []member
	}
	if code != 0 || json.Unmarshal([]byte(out), &f) != nil {
		return nil, ""
	}
	all := map[string]member{}
	for _, m := range f.Nodes {
		all[m.Node] = m
	}
	return all, f.Hash
}

// synced waits until the proxies run what they should, from the control plane.
func (p *processes) synced(limit time.Duration, names ...string) {
	p.t.Helper()
	Within(p.t, limit, fmt.Sprint(names, " are in sync"), func() bool {
		all, hash := p.fleet()
		for _, name := range names {
			if m := all[name]; m.State != "synced" || m.Hash != hash || m.Source != "control-plane" {
				return false
			}
		}
		return hash != ""
	})
}

// psql asks the proxy at a port.
func (p *processes) psql(port int, query string) (string, error) {
	cmd := exec.Command(postgresProgram(p.t, "psql"), "-XAtqc", query)
	cmd.Env = libpqEnv(port)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// resources are a configuration with a pool of max connections.
func resources(server *pgcluster.Server, max int) string {
	return fmt.Sprintf(`apiVersion: helios/v1
kind: Cluster
metadata: {name: main}
---
apiVersion: helios/v1
kind: Node
metadata: {name: pg}
spec: {cluster: main, host: %q, port: %d, role: primary}
---
apiVersion: helios/v1
kind: PoolProfile
metadata: {name: web}
spec: {mode: transaction, maxConnections: %d}
---
apiVersion: helios/v1
kind: Database
metadata: {name: "*"}
spec: {cluster: main, poolProfile: web}
---
apiVersion: helios/v1
kind: Listener
metadata: {name: main}
spec: {address: "127.0.0.1:1", auth: trust}
`, server.Host(), server.Port(), max)
}

// load runs pgbench -S through a port until the function returned is called, which fails the test if a client saw an error.
func (p *processes) load(port int) (stop func()) {
	p.t.Helper()
	out := &syncBuffer{}
	cmd := exec.Command(postgresProgram(p.t, "pgbench"), "-S", "-n", "-c", "8", "-T", "600")
	cmd.Env = libpqEnv(port)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	return func() {
		p.t.Helper()
		select {
		case <-ended:
			p.t.Errorf("pgbench has ended by itself:\n%s", out.String())
		default:
			_ = cmd.Process.Signal(syscall.SIGKILL)
			<-ended
		}
		if text := out.String(); regexp.MustCompile(`(?i)error|abort|fatal`).MatchString(text) {
			p.t.Errorf("pgbench: %s", text)
		}
	}
}

// TestFleet is the life of a small fleet under load: a pool changes live and back, refusals and conflicts change nothing, a
// listener that one machine refuses does not hold the other up, and neither the control plane nor a proxy is missed while it
// is gone.
func TestFleet(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	init := exec.Command(postgresProgram(t, "pgbench"), "-i", "-q")
	init.Env = Direct(server)
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := startProcesses(t, "a", "b")
	p.want(0, resources(server, 6), []string{"apply", "-f", "-"}, `^revision 1$`)
	p.synced(10*time.Second, "a", "b")
	stopA, stopB := p.load(p.ports["a"]), p.load(p.ports["b"])
	connections := func() string {
		cmd := exec.Command(postgresProgram(t, "psql"), "-XAtqc", "select count(*) from pg_stat_activity where application_name = 'pgbench'")
		cmd.Env = Direct(server)
		out, _ := cmd.Output()
		return strings.TrimSpace(string(out))
	}
	Within(t, 10*time.Second, "12 connections", func() bool { return connections() == "12" })
	live := full(time.Second, 10*time.Second) // other tests run beside the short form
	p.want(0, resources(server, 2), []string{"apply", "-f", "-"}, `^revision 2$`)
	Within(t, live, "4 connections", func() bool { return connections() == "4" })
	p.synced(live, "a", "b")
	p.want(0, "", []string{"undo"}, `^revision 3$`)
	Within(t, live, "12 connections again", func() bool { return connections() == "12" })

	p.want(1, strings.Replace(resources(server, 0), "poolProfile: web", "poolProfile: none", 1), []string{"apply", "-f", "-"},
		`PoolProfile "web": spec\.maxConnections: must be at least 1`, `Database "\*": spec\.poolProfile: there is no PoolProfile "none"`)
	read := p.want(0, "", []string{"get", "poolprofile", "web", "-o", "yaml"})
	p.want(0, strings.Replace(read, "6", "7", 1), []string{"apply", "-f", "-"}, `^revision 4$`)
	p.want(3, strings.Replace(read, "6", "8", 1), []string{"apply", "-f", "-"}, `conflict`, `maxConnections: 7`)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stopB()
	p.kill(p.proxies["b"])
	extraOfB := fmt.Sprintf("extra=127.0.0.1:%d", freeport.For(t))
	p.startProxy("b", "--listen", extraOfB)
	p.synced(20*time.Second, "b")
	extra := fmt.Sprintf("apiVersion: helios/v1\nkind: Listener\nmetadata: {name: extra}\nspec: {address: %q, auth: trust}\n", taken.Addr())
	p.want(0, extra, []string{"apply", "-f", "-"})
	p.synced(10*time.Second, "b")
	Within(t, 10*time.Second, "a has refused", func() bool {
		all, _ := p.fleet()
		return all["a"].State == "nacked" && all["a"].Rejection.Stage == "warm"
	})
	p.want(0, "", []string{"fleet", "status"}, `stage warm: Listener "extra": spec\.address: .*address already in use`)
	p.want(0, "", []string{"describe", "listener", "extra"}, `Refused by proxy a.*warm.*`+regexp.QuoteMeta(taken.Addr().String()))
	taken.Close()
	p.want(0, extra, []string{"apply", "-f", "-"})
	p.synced(10*time.Second, "a", "b")

	p.kill(p.control)
	p.kill(p.proxies["b"])
	p.damageNewest("b")
	p.startProxy("b", "--listen", extraOfB)
	Within(t, 20*time.Second, "b serves without a control plane", func() bool {
		got, _ := p.psql(p.ports["b"], "select 7")
		return got == "7"
	})
	p.want(4, "", []string{"fleet", "status"}, "is not reached")
	p.startControl()
	p.synced(30*time.Second, "a", "b")
	stopA()
}

// damageNewest cuts the newest last known good configuration of a proxy off, or flips a bit in it.
func (p *processes) damageNewest(name string) {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, name, "*.lkg"))
	if err != nil || len(files) < 2 {
		p.t.Fatal(files, err)
	}
	newest := files[len(files)-1]
	b, err := os.ReadFile(newest)
	if err != nil {
		p.t.Fatal(err)
	}
	if at := rand.IntN(len(b)); rand.IntN(2) == 0 {
		b = b[:at]
	} else {
		b[at] ^= 1 << rand.IntN(8)
	}
	if err := os.WriteFile(newest, b, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// TestControlPlaneKilled kills the control plane at random moments of writes of 300 resources. What a proxy runs is always the
// content before or after a write; what was acknowledged is there; what got no answer is there whole or not at all, as audit
// says.
func TestControlPlaneKilled(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := startProcesses(t, "a")
	p.want(0, resources(server, 3), []string{"apply", "-f", "-"})
	many := func(value string) string {
		var b strings.Builder
		for i := range 300 {
			fmt.Fprintf(&b, "---\napiVersion: helios/v1\nkind: User\nmetadata: {name: u%03d}\nspec: {serverUser: %s}\n", i, value)
		}
		return b.String()
	}
	hash := func() string { _, h := p.fleet(); return h }
	known := map[string]string{} // the content's hash by value
	for _, value := range []string{"x", "y"} {
		p.want(0, many(value), []string{"apply", "-f", "-"})
		p.synced(10*time.Second, "a")
		known[value] = hash()
	}
	now, codes := "y", map[int]int{}
	for range full(200, 12) {
		next := map[string]string{"x": "y", "y": "x"}[now]
		delay := time.Duration(rand.IntN(120)) * time.Millisecond
		control := p.control
		timer := time.AfterFunc(delay, func() { _ = control.Process.Kill() })
		code, out := p.helioctl(many(next), "apply", "-f", "-", "-o", "name")
		if timer.Stop() {
			_ = control.Process.Kill()
		}
		_ = control.Wait()
		codes[code]++
		p.startControl()
		want := now
		switch code {
		case 0:
			want = next
		case 4:
		case 5:
			request := regexp.MustCompile(`helioctl audit --request (\S+)`).FindStringSubmatch(out)
			if request == nil {
				t.Fatalf("does not say how to find out:\n%s", out)
			}
			if done, _ := p.helioctl("", "audit", "--request", request[1]); done == 0 {
				want = next
			}
		default:
			t.Fatalf("killed after %v: exit code %d\n%s", delay, code, out)
		}
		p.synced(30*time.Second, "a") // perhaps with what was current before: a write becomes a release a little later
		Within(t, 10*time.Second, fmt.Sprintf("killed after %v, exit code %d: %s of %v is current", delay, code, want, known), func() bool { return hash() == known[want] })
		p.synced(30*time.Second, "a")
		now = want
	}
	t.Logf("exit codes %v", codes)
}

// TestSecretsStayInside looks for passwords in everything that is shown or logged.
func TestSecretsStayInside(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := startProcesses(t, "a")
	const secret, server2 = "s3cr3t-of-the-client", "s3cr3t-of-the-server"
	all := resources(server, 3) + fmt.Sprintf("---\napiVersion: helios/v1\nkind: User\nmetadata: {name: app}\nspec: {secret: %s, serverPassword: %s}\n", secret, server2)
	shown := p.want(0, all, []string{"apply", "-f", "-"})
	p.synced(10*time.Second, "a")
	shown += p.want(1, strings.Replace(all, "maxConnections: 3", "maxConnections: 0", 1), []string{"apply", "-f", "-"})
	shown += p.want(1, strings.Replace(all, "{secret: ", "{secret: {frob: 1, value: ", 1), []string{"apply", "-f", "-"})
	for _, args := range []string{
		"get all -o yaml", "get all -o json", "get users -o wide", "describe user app", "node config a", "node config a -o json", "audit -o json",
		"events", "history", "fleet status -o json",
	} {
		shown += p.want(0, "", strings.Fields(args))
	}
	text := p.want(0, "", strings.Fields("get all -o yaml"))
	p.want(0, text, strings.Fields("apply -f -"), `nothing has changed`)
	for _, s := range []string{secret, server2} {
		if strings.Contains(shown, s) || strings.Contains(p.log.String(), s) {
			t.Errorf("%s is shown or logged", s)
		}
	}
	for _, file := range []string{"admin.token", "node.token"} {
		token, err := os.ReadFile(filepath.Join(p.dir, "cp", file))
		if err != nil {
			t.Fatal(err)
		}
		if s := strings.TrimSpace(string(token)); strings.Contains(shown, s) || strings.Contains(p.log.String(), s) {
			t.Errorf("%s is shown or logged", file)
		}
	}
}
