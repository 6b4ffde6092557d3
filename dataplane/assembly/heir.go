package assembly

import (
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"
	"syscall"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/handover"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/serve"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// heir takes in what the process before this one hands over.
type heir struct{ p *Proxy }

// inheritFrom begins to hear the process before this one, of which every server connection needs a place from now on.
func (p *Proxy) inheritFrom(before *handover.Predecessor) {
	for _, k := range before.Keys {
		of := &scram.Keys{Salt: k.GetSalt(), Iterations: int(k.GetIterations())}
		copy(of.StoredKey[:], k.GetStoredKey())
		copy(of.ServerKey[:], k.GetServerKey())
		var key scram.ClientKey
		copy(key[:], k.GetClientKey())
		p.hub.Ring.Learn(keyring.Owner{Cluster: k.GetCluster(), User: k.GetUser()}, of, key)
	}
	p.hub.Pools.Ration(ration{before})
	p.hub.CancelBefore = before.Cancel
	p.succession.heir = true
	before.Read(heir{p})
	p.o.Log.Info("taking the place of another process", zap.Int64("pid", before.PID), zap.String("version", before.Version))
}

// meet meets the process whose place this one takes, nil where it takes none, or where, as for PgBouncer, nobody is there.
func meet(o Options) (*handover.Predecessor, error) {
	if !o.Takeover {
		return nil, nil
	}
	before, err := handover.Meet(filepath.Join(o.StateDir, takeoverSocket))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		o.Log.Info("old process not found, try to continue normally", zap.Error(err))
		return nil, nil
	}
	return before, err
}

// ration asks the process before this one for places.
type ration struct{ before *handover.Predecessor }

// Ask implements [pool.Ration].
func (r ration) Ask(k pool.Key, granted func()) { r.before.Ask(k.Node, k.Database, k.User, granted) }

// Return implements [pool.Ration].
func (r ration) Return(k pool.Key) { r.before.Return(k.Node, k.Database, k.User) }

// Take implements [handover.Heir].
func (h heir) Take(s *heliosv1.CarriedSession, fds []int) {
	p := h.p
	var peer reactor.Address
	if a := s.GetPeer(); a != "" {
		ip, err := netip.ParseAddrPort(a)
		if err != nil {
			p.o.Log.Error("a session cannot be taken in", zap.String("peer", a), zap.Error(err))
			for _, fd := range fds {
				_ = syscall.Close(fd)
			}
			return
		}
		peer.IP = ip
	}
	rule := &serve.Door{Listener: &snapshot.Listener{Name: s.GetListener()}}
	p.mu.Lock()
	if d := p.doors[s.GetListener()]; d != nil {
		rule = d.rule.Load()
	}
	p.mu.Unlock()
	p.group.Take(fds, func(eps []*reactor.Endpoint) {
		server := (*reactor.Endpoint)(nil)
		if len(eps) > 1 {
			server = eps[1]
		}
		serve.Take(p.hub, eps[0], server, peer, rule, s)
	}, p.turnedAway)
}

// Needed implements [handover.Heir].
func (h heir) Needed(of *heliosv1.PoolName) { h.p.hub.Pools.Owe(pool.KeyOf(of)) }

// Alone implements [handover.Heir].
func (h heir) Alone(why error) {
	h.p.hub.Pools.Ration(nil)
	s := h.p.succession
	s.mu.Lock()
	s.heir = false
	s.mu.Unlock()
	if why != nil {
		h.p.o.Log.Warn("the process before this one is gone before it has handed over everything", zap.Error(why))
		return // or goes on, with the files of its sockets
	}
	h.p.eachDoor((*reactor.Listener).Succeed)
	h.p.o.Log.Info("everything was taken over")
}

// succeed says to the process before this one, once, that a configuration is in force here and clients are taken in.
func (p *Proxy) succeed() {
	before := p.before
	if before == nil {
		return
	}
	p.before = nil
	if err := before.Ready(); err != nil {
		p.o.Log.Warn("the process before this one is gone", zap.Error(err))
	}
}
