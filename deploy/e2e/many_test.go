package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heliosproxy/heliosproxy/dataplane/configsync"
	"github.com/heliosproxy/heliosproxy/pkg/bearer"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// taker takes every configuration.
type taker struct{}

func (taker) Apply(_ *resource.Set, persist func() error) ([]string, error) {
	if persist != nil {
		return nil, persist()
	}
	return nil, nil
}

// TestManyProxies follows one control plane with 200 clients of the real protocol (short: 40): a change reaches the last
// one within a second in 99 of 100 changes, and all are in sync within 10 seconds after the control plane was killed and
// started again. Times are checked in full length only, where nothing else runs.
func TestManyProxies(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := startProcesses(t)
	p.want(0, resources(server, 1), []string{"apply", "-f", "-"})
	token, err := bearer.Read(p.dir + "/cp/node.token")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	var all []*configsync.Client
	for i := range full(200, 40) {
		conn, err := grpc.NewClient(p.stream, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(bearer.Credentials(token)),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: time.Second}, MinConnectTimeout: 5 * time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := configsync.New(configsync.Options{
			Log: zap.NewNop(), NodeID: fmt.Sprintf("n%03d", i), Group: "default", Source: heliosv1.Source_SOURCE_CONTROL_PLANE,
			Servers: []configsync.Server{{Name: p.stream, Conn: conn}}, Applier: taker{}, MaxBytes: 32 << 20,
		})
		all = append(all, c)
		running.Go(func() { c.Run(ctx) })
	}
	// last waits until every client runs another content than before, and says when the last one did.
	last := func(before string) (time.Time, string) {
		t.Helper()
		var at time.Time
		hash := ""
		for _, c := range all {
			for {
				s, changed := c.State()
				if s.Hash() != "" && s.Hash() != before {
					hash = s.Hash()
					if s.Since.After(at) {
						at = s.Since
					}
					break
				}
				select {
				case <-changed:
				case <-time.After(patience):
					t.Fatal("a client has not heard of the change")
				}
			}
		}
		return at, hash
	}
	_, hash := last("")
	var took []time.Duration
	for i := range full(100, 5) {
		began := time.Now()
		p.want(0, resources(server, 2+i), []string{"apply", "-f", "-", "-o", "name"})
		var at time.Time
		at, hash = last(hash)
		took = append(took, at.Sub(began))
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("%d clients: median %v, p99 %v, from the start of helioctl", len(all), took[len(took)/2], p99)
	if !testing.Short() && p99 > time.Second {
		t.Errorf("a change took %v to the last client", p99)
	}

	p.kill(p.control)
	p.startControl()
	began := time.Now()
	for _, c := range all {
		for {
			s, changed := c.State()
			if s.Connected && s.Hash() == hash {
				break
			}
			select {
			case <-changed:
			case <-time.After(patience):
				t.Fatal("a client has not come back")
			}
		}
	}
	t.Logf("all are in sync %v after the restart", time.Since(began))
	if !testing.Short() && time.Since(began) > 10*time.Second {
		t.Errorf("all are in sync only %v after the restart", time.Since(began))
	}
}
