package peers

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/cancelkeys"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// limit is how long a request may be on its way. A proxy takes as long for one to a server.
const limit = 6 * time.Second

// flights are the requests that are on their way, of all loops.
type flights struct{ all, asks atomic.Int32 }

// ask is a request that is passed on, to one peer or to all. It belongs to a loop.
type ask struct {
	peers  *Peers
	waits  *reactor.Task
	packet []byte
	left   int // peers that have not answered
	served bool
	failed int // peers that could not be asked
}

// errand carries a request to one peer, over a connection of its own, and waits for the answer.
type errand struct {
	reactor.Task
	ask  *ask
	to   *peer
	over bool
}

// Forward passes a CancelRequest on whose key nobody here has, and parks t until it is through, or it is known that it is not. from is
// where the client comes from.
func (p *Peers) Forward(t *reactor.Task, from netip.Addr, pid uint32, secret []byte) meter.Cancel {
	table := p.table.Load()
	number, ok := cancelkeys.Number(pid, secret)
	now := t.Loop().Now()
	switch {
	case !ok || len(table.peers) == 0 || number != 0 && table.find(number) == nil:
		return meter.CancelUnknown
	case p.wrong.Wait(now, from, anybody, patience()) > 0:
		return meter.CancelLimited
	}
	a := &ask{peers: p, waits: t, packet: pgwire.AppendForward(nil, pid, secret)}
	if number != 0 {
		if !a.send(table.find(number)) {
			return meter.CancelLimited
		}
		return a.wait(t)
	}
	defer p.asks.Add(-1)
	if p.asks.Add(1) > maxAsks || !p.mayAsk(now, from) {
		return meter.CancelLimited
	}
	for _, to := range table.peers {
		if !a.send(to) {
			a.failed++
		}
	}
	how := a.wait(t)
	if how == meter.CancelUnknown {
		p.askedInVain(now, from)
	}
	return how
}

// send lets a request go to a peer, unless too many are on their way.
func (a *ask) send(to *peer) bool {
	p := a.peers
	if p.all.Add(1) > maxFlying {
		p.all.Add(-1)
		return false
	}
	if to.flying.Add(1) > MaxFlyingTo {
		p.all.Add(-1)
		to.flying.Add(-1)
		return false
	}
	a.left++
	e := &errand{ask: a, to: to}
	e.Init(a.waits.Loop(), e)
	e.Wake()
	return true
}

// wait parks t until a peer has served the request, or all have answered.
func (a *ask) wait(t *reactor.Task) meter.Cancel {
	for !a.served && a.left > 0 {
		if t.Park() != nil {
			return meter.CancelPeerFailed
		}
	}
	switch {
	case a.served:
		return meter.CancelForwarded
	case a.failed > 0:
		return meter.CancelPeerFailed
	}
	return meter.CancelUnknown
}

// Serve carries the request.
func (e *errand) Serve(t *reactor.Task) {
	t.SetDeadline(t.Loop().Now() + int64(limit))
	served, err := e.deliver(t)
	if err != nil && !errors.Is(err, reactor.ErrStopped) {
		e.ask.peers.o.Log.Warn("a cancel request was not passed on", zap.String("proxy", e.to.NodeID), zap.Uint16("number", e.to.Number), zap.Error(err))
	}
	e.finish(served, err)
}

func (e *errand) deliver(t *reactor.Task) (served bool, err error) {
	ep, err := reactor.Dial(t, e.to.addr)
	if err != nil {
		return false, err
	}
	defer ep.Close()
	ep.Attach(&e.Task)
	if err := ep.Send(e.ask.packet); err != nil {
		return false, fmt.Errorf("proxy at %s: %w", e.to.Address, err)
	}
	answer, err := ep.Recv(t)
	switch {
	case err != nil:
		return false, fmt.Errorf("proxy at %s has not answered: %w", e.to.Address, err)
	case answer[0] == pgwire.ForwardServed, answer[0] == pgwire.ForwardUnknown:
		return answer[0] == pgwire.ForwardServed, nil
	}
	return false, fmt.Errorf("at %s is no proxy that cancel requests are passed on to", e.to.Address)
}

// Panicked counts as a peer that could not be asked.
func (e *errand) Panicked(_ *reactor.Task, v any, stack []byte) {
	e.ask.peers.o.Log.Error("a cancel request has panicked", zap.Any("panic", v), zap.ByteString("stack", stack))
	e.finish(false, errors.New("panicked"))
}

func (e *errand) finish(served bool, err error) {
	if e.over {
		return
	}
	e.over = true
	e.End()
	e.to.flying.Add(-1)
	a := e.ask
	a.peers.all.Add(-1)
	a.left--
	a.served = a.served || served
	if err != nil {
		a.failed++
	}
	a.waits.Wake()
}

// logAddr is a field of the log.
func logAddr(a netip.Addr) zap.Field {
	if !a.IsValid() {
		return zap.String("address", "a unix socket")
	}
	return zap.Stringer("address", a)
}

var _ reactor.Body = (*errand)(nil)
