package assembly

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/handover"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/serve"
	"github.com/heliosproxy/heliosproxy/dataplane/state/keyring"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/version"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// takeoverSocket is the file in the state directory at which a proxy can be succeeded.
const takeoverSocket = "takeover.sock"

// succession is how the proxy gives itself to a process that takes its place.
type succession struct {
	p *Proxy

	mu     sync.Mutex
	to     *handover.Successor // nil: there is none that is ready
	given  map[uint64]gift     // and not taken yet
	asking map[*wish]struct{}  // for places
	places map[pool.Key]int    // that the successor has
	turn   int                 // which successor it is
	stop   context.CancelFunc  // of what hands over
	left   bool                // all is handed over
	heir   bool                // this process is taking another one's place itself
	dir    string              // where the socket is, and
	close  func()              // what closes it; nil: there is none
}

// gift is who was sent, and of which pool a server connection was sent with it; nil: none was.
type gift struct {
	c  *serve.Conn
	of *pool.Key
}

func newSuccession(p *Proxy) *succession {
	return &succession{p: p, given: map[uint64]gift{}, asking: map[*wish]struct{}{}, places: map[pool.Key]int{}}
}

// offer lets a process take this one's place, by the socket in the state directory.
func (s *succession) offer(dir string, succeeds bool) error {
	l, err := handover.Listen(filepath.Join(dir, takeoverSocket), succeeds)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dir, s.close = dir, stop
	go handover.Serve(ctx, l, s)
	return nil
}

// end closes the socket.
func (s *succession) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.close != nil {
		s.close()
	}
}

// Estate implements [handover.House].
func (s *succession) Estate() (*heliosv1.Estate, []int) {
	p := s.p
	e := &heliosv1.Estate{Version: version.String(), Pid: int64(os.Getpid()), Refusal: s.refusal()}
	if e.GetRefusal() != "" {
		return e, nil
	}
	p.o.Log.Info("another process wants to take this one's place")
	p.letGo()
	p.mu.Lock()
	defer p.mu.Unlock()
	var fds []int
	for name, d := range p.doors {
		e.Sockets = append(e.Sockets, &heliosv1.ListeningSocket{Name: name, OwnsFile: d.ls.Owns()})
		fds = append(fds, d.ls.Descriptor())
	}
	p.hub.Ring.All(func(o keyring.Owner, of *scram.Keys, key scram.ClientKey) {
		e.Keys = append(e.Keys, &heliosv1.ProvedKey{
			Cluster: o.Cluster, User: o.User, Salt: of.Salt, Iterations: uint32(of.Iterations),
			StoredKey: of.StoredKey[:], ServerKey: of.ServerKey[:], ClientKey: key[:],
		})
	})
	return e, fds
}

// refusal is why no process can take this one's place now.
func (s *succession) refusal() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.p.deaf.Load() || s.p.fate() != serve.Stays:
		return "it is about to end"
	case s.heir:
		return "it is still taking the place of another process"
	case s.p.hub.Gates.HoldsAny():
		return "its clients are held: RESUME on its console lets them go on"
	case s.p.current.Load() == nil:
		return "it has no configuration yet"
	}
	return ""
}

// Give implements [handover.House].
func (s *succession) Give(to *handover.Successor) {
	ctx, stop := context.WithCancel(context.Background())
	s.mu.Lock()
	s.to, s.stop = to, stop
	s.mu.Unlock()
	p := s.p
	p.o.Log.Info("handing over to another process", zap.Duration("window", p.o.takeoverWindow()))
	p.eachDoor(func(ls *reactor.Listener) { ls.Pause() })
	p.become(serve.Moves)
	p.hub.Pools.Lend(func(k pool.Key) { to.Needed(k.Message()) })
	go s.handOver(ctx, to)
}

// begun says whether another process has taken this one's place, or is about to.
func (s *succession) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to != nil
}

// handOver waits until the sessions have left, ends those whose time is over, and at last the process.
func (s *succession) handOver(ctx context.Context, to *handover.Successor) {
	p := s.p
	window, over := context.WithTimeout(ctx, p.o.takeoverWindow())
	defer over()
	err := p.empty(window, "here", p.load)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.o.Log.Info("the time for handing over has come to an end", zap.Error(err))
		p.dismiss(ctx)
		if p.finish(ctx) != nil {
			return
		}
	}
	s.mu.Lock()
	s.left = true
	s.mu.Unlock()
	p.closePools(ctx, s.lent)
	if err := to.Done(); err != nil {
		p.o.Log.Warn("the process that took over is gone", zap.Error(err))
	}
	p.o.Log.Info("everything is handed over")
	if p.o.HandedOver != nil {
		p.o.HandedOver()
	}
}

// lent is how many places of a pool the successor has by now: it may be given one that it has asked for until the pool is gone.
func (s *succession) lent(k pool.Key) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places[k]
}

// Carry implements [serve.Successor].
func (s *succession) Carry(c *serve.Conn, state *heliosv1.CarriedSession, descriptors ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to == nil || !s.to.Understands(state) { // it has gone away meanwhile, or is of an older version
		c.Loop().Post(c.Return)
		return
	}
	g := gift{c: c}
	if state.GetServer() != nil {
		k := pool.KeyOf(state.GetServer().GetPool())
		g.of = &k
		s.places[k]++
	}
	s.given[state.GetId()] = g
	s.to.Session(state, descriptors...)
}

// Taken implements [handover.House].
func (s *succession) Taken(id uint64) {
	s.mu.Lock()
	c := s.given[id].c
	delete(s.given, id)
	s.mu.Unlock()
	if c != nil {
		c.Loop().Post(c.Arrived)
	}
}

// Cancel implements [handover.House].
func (s *succession) Cancel(pid uint32, secret []byte) { s.p.hub.Cancel(pid, secret) }

// Place implements [handover.House].
func (s *succession) Place(name *heliosv1.PoolName, granted func()) {
	k := pool.KeyOf(name)
	of := s.p.hub.Pools.At(k)
	if of == nil { // nobody has a connection there
		granted()
		return
	}
	w := &wish{of: of, at: s.p.hub.Pools.At, loop: s.p.group.LeastLoaded()}
	s.mu.Lock()
	s.asking[w] = struct{}{}
	turn := s.turn
	s.mu.Unlock()
	w.over = func(has bool, err error) {
		s.mu.Lock()
		delete(s.asking, w)
		late := s.turn != turn
		if has && !late {
			s.places[k]++
		}
		s.mu.Unlock()
		switch {
		case has && late: // for nobody
			w.of.Vacate(w.loop)
		case has, errors.Is(err, pool.ErrMoved): // then nobody has a connection there any more
			granted()
		}
	}
	w.loop.Post(func() {
		w.Init(w.loop, w)
		w.Wake()
	})
}

// Return implements [handover.House].
func (s *succession) Return(name *heliosv1.PoolName) {
	k := pool.KeyOf(name)
	s.mu.Lock()
	has := s.places[k] > 0 && !s.left // else the pools are being closed, and nobody needs it
	if has {
		s.places[k]--
	}
	s.mu.Unlock()
	if of := s.p.hub.Pools.At(k); has && of != nil {
		l := s.p.group.Loops()[0]
		l.Post(func() { of.Vacate(l) })
	}
}

// Stay implements [handover.House].
func (s *succession) Stay(why error) {
	s.mu.Lock()
	if s.left {
		s.mu.Unlock()
		return
	}
	begun := s.to != nil
	given, places := s.given, s.places
	for _, g := range given {
		if g.of != nil {
			places[*g.of]-- // it has the place itself again
		}
	}
	s.to, s.given, s.places = nil, map[uint64]gift{}, map[pool.Key]int{}
	if begun {
		s.stop()
	}
	s.turn++
	for w := range s.asking {
		w.loop.Post(func() { w.Kill(reactor.ErrStopped) })
	}
	s.mu.Unlock()
	p := s.p
	p.hub.Pools.Lend(nil)
	p.o.Log.Error("the process that wanted to take this one's place is gone: this one goes on", zap.Bool("was_ready", begun), zap.Error(why))
	first := p.group.Loops()[0]
	for k, n := range places {
		if of := p.hub.Pools.At(k); of != nil {
			first.Post(func() {
				for range n {
					of.Vacate(first)
				}
			})
		}
	}
	for _, g := range given {
		g.c.Loop().Post(g.c.Return)
	}
	if begun {
		fate := p.fate()
		if fate == serve.Moves {
			fate = serve.Stays
		}
		p.become(fate) // those that came back too
	}
	if begun && !p.deaf.Load() {
		p.eachDoor(func(ls *reactor.Listener) {
			if err := ls.Resume(); err != nil {
				p.o.Log.Error("cannot listen any more", zap.Stringer("address", ls.Address()), zap.Error(err))
			}
		})
	}
	p.holdAgain()
	s.end()
	if err := s.offer(s.dir, true); err != nil {
		p.o.Log.Warn("no process can take this one's place any more", zap.Error(err))
	}
}

// wish is a place for a connection that the successor wants to open.
type wish struct {
	reactor.Task
	loop   *reactor.Loop
	of     *pool.Pool
	at     func(pool.Key) *pool.Pool
	over   func(has bool, err error)
	waiter pool.Waiter
}

// Serve waits for the place for as long as it takes.
func (w *wish) Serve(t *reactor.Task) {
	for {
		err := w.of.Place(t, &w.waiter)
		moved := errors.Is(err, pool.ErrMoved)
		if moved {
			if next := w.at(w.of.Key); next != nil { // another one has the same name by now
				w.of = next
				continue
			}
		}
		if err == nil || moved || t.Killed() != nil || errors.Is(err, reactor.ErrStopped) {
			w.over(err == nil, err)
			w.End()
			return
		}
	}
}

// Panicked implements [reactor.Body].
func (w *wish) Panicked(*reactor.Task, any, []byte) { w.End() }

// letGo lets go of what two processes cannot have at once, and holdAgain takes it back.
func (p *Proxy) letGo() {
	if c := p.control.Load(); c != nil && c.follows.StateDir != "" {
		c.end() // it may be applying, which locks the proxy
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.admin != nil {
		_ = p.admin.Close()
		p.admin = nil
	}
}

func (p *Proxy) holdAgain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if p.o.AdminAddress != "" && p.admin == nil {
		var err error
		if p.admin, err = p.startAdmin(); err != nil {
			p.o.Log.Error("health and metrics are not served any more", zap.Error(err))
		}
	}
	if c := p.control.Load(); c != nil && c.follows.StateDir != "" {
		if err := p.Follow(c.follows); err != nil {
			p.o.Log.Error("the control plane is not followed any more", zap.Error(err))
		}
	}
}
