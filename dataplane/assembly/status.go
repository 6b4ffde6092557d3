package assembly

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/dataplane/configsync"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/report"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/version"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// reporter is the proxy as the status stream sees it.
type reporter struct {
	p *Proxy
	o *ControlPlane
}

// Report implements [report.Source].
func (r reporter) Report() (*heliosv1.StatusReport, <-chan struct{}) {
	p := r.p
	s, changed := p.control.Load().sync.State()
	ok, reason := p.reached()
	x := &heliosv1.StatusReport{
		NodeId: p.o.NodeID, Group: r.o.Group, Build: version.String(), Started: timestamppb.New(p.started),
		StoreId: s.StoreID, Generation: s.Generation, Hash: s.Hash(), Source: s.Source, Rejection: s.Rejection, Warnings: s.Warnings,
		Ready: ok, Reason: reason, Listeners: p.Addresses(), FailedLogins: p.hub.Failures.Count(), CancelAddress: r.reach(),
	}
	if s.Content != nil {
		x.Since = timestamppb.New(s.Since)
	}
	for _, l := range p.group.Loops() {
		x.Clients += uint32(l.Load())
	}
	p.hub.Pools.Each(func(pl *pool.Pool) {
		n, _ := pl.Total()
		x.Servers += uint32(n)
	})
	return x, changed
}

// Dump implements [report.Source].
func (r reporter) Dump() (*heliosv1.ConfigDump, *release.Content) {
	s, _ := r.p.control.Load().sync.State()
	d := &heliosv1.ConfigDump{Generation: s.Generation, Hash: s.Hash(), Source: s.Source}
	if s.Content != nil {
		d.Since = timestamppb.New(s.Since)
	}
	return d, s.Content
}

// reachLimit is how long a server may take to take a connection.
const reachLimit = time.Second

// reach knocks at the nodes that are new and says which did not answer.
func reach(old, snap *snapshot.Snapshot) (warnings []string) {
	known := map[string]bool{}
	if old != nil {
		old.Primaries(func(name, host, port string) { known[name+host+port] = true })
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	snap.Primaries(func(name, host, port string) {
		if known[name+host+port] {
			return
		}
		all.Go(func() {
			if err := knock(host, port); err != nil {
				mu.Lock()
				defer mu.Unlock()
				warnings = append(warnings, fmt.Sprintf("node %s was not reached: %v", name, err))
			}
		})
	})
	all.Wait()
	slices.Sort(warnings)
	return warnings
}

// knock connects and hangs up before a word is said: no server process logs in.
func knock(host, port string) error {
	network, addr := "tcp", net.JoinHostPort(host, port)
	if strings.HasPrefix(host, "/") {
		network, addr = "unix", filepath.Join(host, ".s.PGSQL."+port)
	}
	ctx, stop := context.WithTimeout(context.Background(), reachLimit)
	defer stop()
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return err
	}
	return c.Close()
}

var (
	_ report.Source      = reporter{}
	_ configsync.Applier = (*Proxy)(nil)
)
