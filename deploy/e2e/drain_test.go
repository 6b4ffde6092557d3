package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// endOf says what ends an idle client, and when.
func endOf(c *pgconn.PgConn) (sqlstate string, at time.Time) {
	ctx, stop := context.WithTimeout(context.Background(), 3*patience)
	defer stop()
	err := c.WaitForNotification(ctx)
	at = time.Now()
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code, at
	}
	return fmt.Sprint(err), at
}

// ended waits until a process has ended by itself, and wants 0.
func ended(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	select {
	case err := <-gone:
		if err != nil {
			t.Errorf("the proxy ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the proxy does not end")
	}
}

// TestDrain ends a proxy of a fleet: idle clients at the rate that it has, and one in a transaction when that has ended.
func TestDrain(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := startProcesses(t, "b")
	p.ports["a"] = freeport.For(t)
	const idle, rate = 40, 20
	p.startProxy("a", "--drain-rate", fmt.Sprint(rate), "--drain-timeout", "2m")
	p.want(0, resources(server, 3), []string{"apply", "-f", "-"})
	p.synced(patience, "a", "b")
	p.want(2, "y\n", []string{"drain", "a"}, `--yes says so$`)
	p.want(1, "", []string{"drain", "c", "--yes"}, `^helioctl: no proxy "c" is known here$`)

	busy := connected(t, p.ports["a"], "postgres")
	if got := tell(busy, "begin; select 1"); got != "1" {
		t.Fatal(got)
	}
	clients := make([]*pgconn.PgConn, idle)
	for i := range clients {
		clients[i] = connected(t, p.ports["a"], "postgres")
	}
	b := p.background("drain", "a", "--yes", "--timeout", "2m")
	var mu sync.Mutex
	var first, last time.Time
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			code, at := endOf(c)
			if code != "57P01" {
				t.Errorf("an idle client: %s", code)
			}
			mu.Lock()
			defer mu.Unlock()
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(last) {
				last = at
			}
		})
	}
	all.Wait()
	// 40 at 20 a second take 1.95 s; a slow machine takes longer, and none may take less than the half.
	if took := last.Sub(first); took < time.Second || took > time.Minute {
		t.Errorf("%d clients were ended within %v, at %d a second", idle, took, rate)
	}
	if got := tell(busy, "select 7"); got != "7" {
		t.Errorf("a client in a transaction: %s", got)
	}
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.ports["a"])); err == nil {
		c.Close()
		t.Error("a proxy that drains listens")
	}
	Within(t, patience, "the fleet sees that it drains", func() bool {
		_, out := p.helioctl("", "fleet", "status")
		return regexp.MustCompile(`(?m)^a +synced .* no .* 1 +\d+ +the proxy is shutting down$`).MatchString(out)
	})
	p.want(5, "", []string{"drain", "a", "--yes", "--timeout", "500ms"}, `^helioctl: proxy "a" is still draining, of its clients 1 were there when it was last heard of$`)
	select {
	case <-b.ended:
		t.Errorf("it is said to be gone: %s", b.out.String())
	default:
	}
	if got := tell(busy, "commit"); got != "" {
		t.Errorf("the end of a transaction: %s", got)
	}
	if code, _ := endOf(busy); code != "57P01" {
		t.Errorf("a client whose transaction has ended: %s", code)
	}
	b.want(t, 0, "a: drained\n")
	ended(t, p.proxies["a"])
	p.want(0, "", []string{"fleet", "status"}, `^a +offline`, `^b +synced`)
	p.want(4, "", []string{"drain", "a", "--yes"}, `^helioctl: proxy "a" is not connected$`)
	p.want(0, "", []string{"drain", "b", "--yes"}, `^b: drained$`) // which nobody uses
	ended(t, p.proxies["b"])
}

// TestDrainStandalone ends the proxy of a file through its own socket.
func TestDrainStandalone(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	x := &Proxy{Port: freeport.For(t), AdminPort: freeport.For(t)}
	config, state := writeFile(t, "proxy.toml", x.config(server, Options{})), t.TempDir()
	x.launch(t, exec.Command(program(t), "--config", config, "--node-id", "alone", "--state-dir", state))
	x.left = true
	busy, idle := connected(t, x.Port, "postgres"), connected(t, x.Port, "postgres")
	if got := tell(busy, "begin; select 1"); got != "1" {
		t.Fatal(got)
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(cmp.Or(os.Getenv("HELIOCTL"), "../../bin/helioctl"), "--server", "unix:"+filepath.Join(state, "admin.sock"), "drain", "alone", "--yes", "--timeout", "1s", "-o", "json")
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "HELIOCTL_CONFIG=/dev/null"), &out, &errs
	_ = cmd.Run() // the exit code says it
	var said struct {
		Proxy string
		Gone  bool
	}
	if err := json.Unmarshal(out.Bytes(), &said); err != nil || cmd.ProcessState.ExitCode() != 5 || said.Proxy != "alone" || said.Gone {
		t.Errorf("%v: exit code %d, %s%s", err, cmd.ProcessState.ExitCode(), out.String(), errs.String())
	}
	if code, _ := endOf(idle); code != "57P01" {
		t.Errorf("an idle client: %s", code)
	}
	var last syncBuffer
	again := exec.Command(cmd.Path, "--server", "unix:"+filepath.Join(state, "admin.sock"), "drain", "alone", "--yes")
	again.Env, again.Stdout, again.Stderr = cmd.Env, &last, &last
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	Within(t, patience, "the proxy is told again", func() bool { return strings.Count(x.log.String(), `{"command": "SHUTDOWN", `) == 2 })
	if got := tell(busy, "select 7; commit"); got != "7" {
		t.Errorf("a client in a transaction: %s", got)
	}
	x.Leave(t)
	if err := again.Wait(); err != nil || last.String() != "alone: drained\n" {
		t.Errorf("%v: %s", err, last.String())
	}
}

// TestLeaveStandalone ends the proxy of a file when its clients have left by themselves: until then probes and its fleet are told that it is
// not ready, and nobody new is let in.
func TestLeaveStandalone(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	x := &Proxy{Port: freeport.For(t), AdminPort: freeport.For(t)}
	config, state := writeFile(t, "proxy.toml", x.config(server, Options{})), t.TempDir()
	x.launch(t, exec.Command(program(t), "--config", config, "--node-id", "alone", "--state-dir", state))
	x.left = true
	stays, console := connected(t, x.Port, "postgres"), connected(t, x.Port, "pgbouncer")
	if got := tell(stays, "select 1"); got != "1" {
		t.Fatal(got)
	}
	if got := tell(console, "SHUTDOWN WAIT_FOR_CLIENTS"); got != "" {
		t.Fatal(got)
	}
	Within(t, patience, "probes are told", func() bool {
		code, said := fetch(fmt.Sprintf("127.0.0.1:%d", x.AdminPort), "/readyz")
		return code == 503 && strings.Contains(said, "the proxy is shutting down")
	})
	Within(t, patience, "it does not listen", func() bool {
		c, err := net.Dial("tcp", x.Addr())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	Within(t, patience, "the fleet is told", func() bool {
		status := exec.Command(cmp.Or(os.Getenv("HELIOCTL"), "../../bin/helioctl"), "--server", "unix:"+filepath.Join(state, "admin.sock"), "fleet", "status")
		status.Env = append(os.Environ(), "HELIOCTL_CONFIG=/dev/null")
		out, _ := status.CombinedOutput()
		return regexp.MustCompile(`(?m)^alone .* no .* the proxy is shutting down$`).Match(out)
	})
	if got := tell(stays, "select 7"); got != "7" {
		t.Errorf("a client that stays: %s", got)
	}
	for _, c := range []*pgconn.PgConn{stays, console} {
		c.Close(context.Background())
	}
	x.Leave(t)
}
