package assembly_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// readyz is what a probe of the local HTTP server is answered.
func readyz(t *testing.T, p *assembly.Proxy) (status int, body string) {
	t.Helper()
	r, err := http.Get("http://" + p.Admin().Address().String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, strings.TrimSpace(string(text))
}

// TestEnding: whoever it is that a proxy waits for, it says that it is not ready before it stops listening and until its end, and opens
// no port again.
func TestEnding(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	for _, tt := range []struct {
		command string
		how     assembly.Shutdown
		wait    func(*assembly.Proxy, context.Context) error
		applied string // why a configuration that comes then is refused; empty: it is not
	}{
		{"SHUTDOWN WAIT_FOR_CLIENTS", assembly.WaitForClients, (*assembly.Proxy).Leave, ""},
		{"SHUTDOWN WAIT_FOR_SERVERS", assembly.WaitForServers, (*assembly.Proxy).Drain, "the proxy is shutting down"},
	} {
		t.Run(tt.command, func(t *testing.T) {
			asked, done := make(chan assembly.Shutdown, 1), make(chan error, 1)
			ctx, stop := context.WithTimeout(context.Background(), time.Minute)
			defer stop()
			set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3)
			p, addr := stage.Start(t, set, func(o *assembly.Options) {
				o.AdminAddress = "127.0.0.1:0"
				o.Shutdown = func(how assembly.Shutdown) { asked <- how }
			})
			fleet := assembly.ControlPlane{Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("nobody is there") }}
			if err := p.Follow(fleet); err != nil {
				t.Fatal(err)
			}
			busy, console := stage.Connect(t, addr, "postgres"), stage.ConsoleAt(t, addr)
			stage.Want(t, busy, "BEGIN", "")
			if status, body := readyz(t, p); status != http.StatusOK {
				t.Fatalf("before: %d %s", status, body)
			}

			release := sync.OnceFunc(p.Hold()) // which closing the ports waits for
			defer release()
			if out := stage.Tell(console, tt.command); out != "" {
				t.Error(out)
			}
			if how := <-asked; how != tt.how {
				t.Errorf("is asked for %d", how)
			}
			go func() { done <- tt.wait(p, ctx) }()
			const notReady = `{"message":"the proxy is shutting down","ready":false}`
			stage.Eventually(t, 20*time.Second, "it is not ready", func() bool {
				status, body := readyz(t, p)
				return status == http.StatusServiceUnavailable && body == notReady
			})
			late, err := stage.TryConnect(addr, "postgres")
			release()
			if err != nil {
				t.Errorf("it has stopped listening before that: %v", err)
			} else {
				late.Close(context.Background())
			}
			stage.Eventually(t, 20*time.Second, "it listens no more", func() bool { return len(p.Addresses()) == 0 })
			if status, body := readyz(t, p); body != notReady {
				t.Errorf("when it does not listen: %d %s", status, body)
			}
			if r := p.Report(&fleet); r.GetReady() || r.GetReason() != "the proxy is shutting down" {
				t.Errorf("the fleet is told: ready %t, %q", r.GetReady(), r.GetReason())
			}
			if why := p.Succession().Refusal(); why != "it is about to end" {
				t.Errorf("another process may take its place: %q", why)
			}
			stage.Want(t, busy, "SELECT 7", "7")

			stage.Eventually(t, 20*time.Second, "its fate is known", func() bool {
				_, err = p.Apply(set, nil)
				return (err == nil) == (tt.applied == "")
			})
			if err != nil && !strings.Contains(err.Error(), tt.applied) {
				t.Errorf("another configuration: %v", err)
			}
			if at := p.Addresses(); len(at) != 0 {
				t.Errorf("it listens again: %v", at)
			}
			select {
			case err := <-done:
				t.Fatalf("it has ended (%v) with a transaction open", err)
			default:
			}
			stage.Want(t, busy, "COMMIT", "")
			busy.Close(context.Background())
			console.Close(context.Background())
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
