// Package peers is the other proxies of a group: who they are, and how a cancel request that came in at the wrong one gets to the right one. It never cancels anything itself.
//
// A TCP balancer brings a cancel request to any proxy. The key says who has given it out (package cancelkeys); where it does
// not, all are asked. A request is passed on once: in a form of its own, which whoever gets it passes on to nobody.
package peers

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/admission"
	"github.com/heliosproxy/heliosproxy/dataplane/state/cancelkeys"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Options are what a Peers is made with.
type Options struct {
	Log *zap.Logger
	// Number is told what number this proxy has.
	Number func(uint16)
}

// Peers are the other proxies. Any thread may use it.
type Peers struct {
	o     Options
	table atomic.Pointer[table]
	limits
	flights

	mu    sync.Mutex // of what is kept
	said  *heliosv1.Peers
	files Files
	group string
}

// table is who the peers are. It is not changed, but for what its peers count.
type table struct {
	number uint16
	peers  []*peer // by number
	hosts  map[netip.Addr]struct{}
}

// peer is another proxy.
type peer struct {
	Info
	addr   reactor.Address
	flying atomic.Int32 // requests that are on their way to it
}

// Info is what people are shown of a peer.
type Info struct {
	Number  uint16
	NodeID  string
	Address string // IP:PORT or unix:PATH
	Flying  int    // requests that are on their way to it
}

// New makes a Peers that knows nobody.
func New(o Options) *Peers {
	p := &Peers{o: o, said: &heliosv1.Peers{}, limits: limits{wrong: admission.NewFailures(maxKnown), asked: admission.NewFailures(maxKnown)}}
	p.table.Store(&table{})
	return p
}

// Number is that of this proxy; 0 where nobody has given it one.
func (p *Peers) Number() uint16 { return p.table.Load().number }

// All returns the peers by number.
func (p *Peers) All() []Info {
	var all []Info
	for _, x := range p.table.Load().peers {
		i := x.Info
		i.Flying = int(x.flying.Load())
		all = append(all, i)
	}
	return all
}

// Set takes over what the control plane says, and keeps it for the next start.
func (p *Peers) Set(said *heliosv1.Peers) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if proto.Equal(p.said, said) {
		return
	}
	if err := p.use(said); err != nil {
		p.o.Log.Warn("some of the other proxies cannot be reached with cancel requests", zap.Error(err))
	}
	if p.files != nil {
		if err := p.files.Keep(file, encode(p.group, said)); err != nil {
			p.o.Log.Error("cannot keep who the other proxies are for the next start", zap.Error(err))
		}
	}
}

// use puts a table in force. Its error names the peers that are left out. p.mu is held.
func (p *Peers) use(said *heliosv1.Peers) (odd error) {
	old, next := p.table.Load(), &table{hosts: map[netip.Addr]struct{}{}}
	if n := said.GetYourNumber(); n <= cancelkeys.MaxNumber {
		next.number = uint16(n)
	}
	for _, x := range said.GetPeers() {
		a, err := reactor.ParseAddress(x.GetAddress())
		switch {
		case err != nil:
			odd = errors.Join(odd, fmt.Errorf("proxy %s: %w", x.GetNodeId(), err))
			continue
		case x.GetNumber() == 0 || x.GetNumber() > cancelkeys.MaxNumber || x.GetNumber() == uint32(next.number):
			odd = errors.Join(odd, fmt.Errorf("proxy %s has number %d, this one %d", x.GetNodeId(), x.GetNumber(), next.number))
			continue
		}
		to := &peer{Info: Info{Number: uint16(x.GetNumber()), NodeID: x.GetNodeId(), Address: x.GetAddress()}, addr: a}
		if have := old.find(to.Number); have != nil && have.Info == to.Info {
			to = have
		}
		next.peers = append(next.peers, to)
		if !a.IsUnix() {
			next.hosts[a.IP.Addr().Unmap()] = struct{}{}
		}
	}
	slices.SortFunc(next.peers, func(a, b *peer) int { return int(a.Number) - int(b.Number) })
	p.said = proto.CloneOf(said)
	p.table.Store(next)
	p.o.Number(next.number)
	p.o.Log.Info("cancel requests are passed on to other proxies", zap.Uint16("number", next.number), zap.Int("peers", len(next.peers)))
	return odd
}

// find returns the peer with a number, or nil.
func (t *table) find(number uint16) *peer {
	i, ok := slices.BinarySearchFunc(t.peers, number, func(p *peer, n uint16) int { return int(p.Number) - int(n) })
	if !ok {
		return nil
	}
	return t.peers[i]
}
