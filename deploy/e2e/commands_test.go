package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// connected is a client of a port for the length of a test.
func connected(t *testing.T, port int, db string) *pgconn.PgConn {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	c, err := pgconn.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s user=postgres sslmode=disable", port, db))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// tell is what a client is answered to a query: values, or the error.
func tell(c *pgconn.PgConn, query string) string {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	all, err := c.Exec(ctx, query).ReadAll()
	if err != nil {
		return err.Error()
	}
	var words []string
	for _, r := range all {
		for _, row := range r.Rows {
			for _, v := range row {
				words = append(words, string(v))
			}
		}
	}
	return strings.Join(words, " ")
}

// underWay is helioctl under way.
type underWay struct {
	cmd   *exec.Cmd
	out   syncBuffer
	ended chan struct{}
}

func (p *processes) background(args ...string) *underWay {
	p.t.Helper()
	b := &underWay{cmd: exec.Command(cmp.Or(os.Getenv("HELIOCTL"), "../../bin/helioctl"), args...), ended: make(chan struct{})}
	b.cmd.Env = append(os.Environ(), "HELIOCTL_CONFIG=/dev/null", "HELIOCTL_SERVER="+p.admin, "HELIOCTL_TOKEN_FILE="+p.dir+"/cp/admin.token")
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.out
	if err := b.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(b.ended)
		_ = b.cmd.Wait()
	}()
	return b
}

// want waits for the end, and wants an exit code and texts in what was printed.
func (b *underWay) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	<-b.ended
	out := b.out.String()
	if got := b.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("helioctl %v: exit code %d, want %d\n%s", b.cmd.Args[1:], got, code, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("helioctl %v: lacks %q in\n%s", b.cmd.Args[1:], text, out)
		}
	}
}

// TestCommands has two proxies carry out what helioctl says: what waits is given up in time, with an interrupt, with the control plane and
// with the proxy, and then its clients go on.
func TestCommands(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := startProcesses(t, "a", "b")
	p.want(1, "", []string{"pause", "--group", "none"}, `no proxy of group "none" is connected`)
	p.want(0, resources(server, 3), []string{"apply", "-f", "-"})
	p.synced(patience, "a", "b")
	console, busy, other := connected(t, p.ports["a"], "pgbouncer"), connected(t, p.ports["a"], "postgres"), connected(t, p.ports["a"], "postgres")
	paused := func(want string) {
		t.Helper()
		Within(t, patience, "SHOW STATE says paused: "+want, func() bool { return strings.Contains(tell(console, "SHOW STATE"), "paused "+want) })
	}
	goesOn := func() {
		t.Helper()
		paused("no")
		if got := tell(other, "select 7"); got != "7" {
			t.Errorf("another client: %s", got)
		}
	}
	p.want(4, "", []string{"resume", "--proxy", "a,c"}, `^a: resumed$`, `^helioctl: no proxy "c" is known here$`)
	tell(busy, "begin; select 1")
	p.want(0, "", []string{"pools", "-o", "json"}, `"proxy": "a"`, `"sv_active": 1`)
	p.want(1, "", []string{"pause", "--proxy", "a", "--timeout", "300ms"}, `^helioctl: proxy "a": PAUSE has given up after 300ms: .* \(SQLSTATE 57014\)$`)
	goesOn()

	b := p.background("pause")
	paused("yes")
	_ = b.cmd.Process.Signal(syscall.SIGINT)
	b.want(t, 5, "interrupted: a proxy that waited gives up")
	goesOn()

	b = p.background("pause", "--proxy", "a", "--proxy", "b")
	paused("yes")
	busyB := connected(t, p.ports["b"], "pgbouncer")
	Within(t, patience, "b is paused", func() bool { return strings.Contains(tell(busyB, "SHOW STATE"), "paused yes") })
	p.kill(p.control)
	b.want(t, 5, "a proxy that waited gives up")
	goesOn()
	p.startControl()
	p.synced(patience, "a", "b")

	p.want(0, "", []string{"resume", "--proxy", "b"}, `^b: resumed$`) // it had nobody to wait for
	if got := tell(connected(t, p.ports["b"], "postgres"), "begin; select 1"); got != "1" {
		t.Fatal(got)
	}
	b = p.background("pause")
	paused("yes")
	Within(t, patience, "b is paused", func() bool { return strings.Contains(tell(busyB, "SHOW STATE"), "paused yes") })
	p.kill(p.proxies["b"])
	tell(busy, "commit")
	b.want(t, 5, "a: paused\n", `helioctl: proxy "b" was lost before it had answered`)
	p.want(0, "", []string{"resume"}, `^a: resumed$`)
	goesOn()
	p.want(4, "", []string{"pools", "--proxy", "a", "--proxy", "b"}, `^PROXY +DATABASE`, `^a +postgres`, `^helioctl: proxy "b" is not connected`)
	p.want(0, "", []string{"kill", "postgres"}, `^a: killed$`)
	p.want(0, "", []string{"resume", "postgres"}, `^a: resumed$`)
	if got := tell(other, "select 7"); !strings.Contains(got, "57P01") {
		t.Errorf("a client that was killed: %s", got)
	}
	p.want(0, "", []string{"events"}, `command +- +- +PAUSE by admin \(.*\), to a, b$`, `command +a +- +KILL "postgres" by admin`)
}

// TestManyClients shows 1,000 clients, whose rows are more than one message holds.
func TestManyClients(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := startProcesses(t, "a")
	p.want(0, resources(server, 3), []string{"apply", "-f", "-"})
	p.synced(patience, "a")
	const clients = 1000
	var coming sync.WaitGroup
	places := make(chan struct{}, 20)
	var mu sync.Mutex
	all := map[string]bool{}
	for i := range clients {
		places <- struct{}{}
		coming.Go(func() {
			defer func() { <-places }()
			name := fmt.Sprintf("%04d%s", i, strings.Repeat("x", 1500))
			c, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d dbname=postgres user=postgres sslmode=disable application_name=%s", p.ports["a"], name))
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { c.Close(context.Background()) })
			mu.Lock()
			defer mu.Unlock()
			all[name] = true
		})
	}
	coming.Wait()
	out := p.want(0, "", []string{"clients", "-o", "json"})
	var shown struct {
		Clients []struct {
			Proxy string
			Name  string `json:"application_name"`
		}
	}
	if err := json.Unmarshal([]byte(out), &shown); err != nil {
		t.Fatal(err)
	}
	for _, c := range shown.Clients {
		if c.Proxy != "a" || !all[c.Name] {
			t.Fatalf("there is a client %.40v, or it is there twice", c)
		}
		delete(all, c.Name)
	}
	if len(all) > 0 || len(out) < 1<<20 {
		t.Errorf("%d clients are not shown, in %d bytes", len(all), len(out))
	}
}
