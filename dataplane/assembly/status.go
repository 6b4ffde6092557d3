package assembly

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/dataplane/configsync"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/report"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
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
		old.Primaries(func(name string, at *hosts.Server) { known[name+" "+at.String()] = true })
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	snap.Primaries(func(name string, at *hosts.Server) {
		if known[name+" "+at.String()] {
			return
		}
		all.Go(func() {
			if err := knock(at); err != nil {
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

// knock connects to one of the hosts of a server and hangs up before a word is said: no server process logs in.
func knock(at *hosts.Server) error {
	ctx, stop := context.WithTimeout(context.Background(), reachLimit)
	defer stop()
	routes, known, err := at.Routes()
	if !known {
		at.Ask(ctx)
		routes, _, err = at.Routes()
	}
	for _, r := range routes {
		var c net.Conn
		if network, address := "unix", filepath.Join(r.Host, ".s.PGSQL."+strconv.Itoa(r.Port)); r.IP.IsValid() {
			c, err = new(net.Dialer).DialContext(ctx, "tcp", r.IP.String())
		} else {
			c, err = new(net.Dialer).DialContext(ctx, network, address)
		}
		if err == nil {
			return c.Close()
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

var (
	_ report.Source      = reporter{}
	_ configsync.Applier = (*Proxy)(nil)
)
