package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/heliosproxy/heliosproxy/pkg/version"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Heir is the proxy that takes the place of another one. Its methods are called by one goroutine.
type Heir interface {
	// Take takes a session in, and owns the descriptors: of its client, and of the server connection that it keeps, if it does.
	Take(s *heliosv1.CarriedSession, fds []int)
	// Needed hears that a place is to be given back when a connection of the pool is free.
	Needed(pool *heliosv1.PoolName)
	// Alone is called when the old process has nothing left, or has gone away.
	Alone(why error)
}

// Predecessor is the process whose place this one takes. Any goroutine may use it.
type Predecessor struct {
	l       *link
	PID     int64
	Version string
	Sockets map[int]string // listening descriptors, with the names of their listeners, and
	Owned   map[int]bool   // those whose file is removed by the last process that has them
	Keys    []*heliosv1.ProvedKey

	mu      sync.Mutex
	wishes  map[uint64]func() // for places
	places  map[poolName]int  // granted
	last    uint64
	gone    bool
	reading sync.Once
}

type poolName struct{ node, database, user string }

// Meet says hello to the process that listens at path, and takes its sockets.
func Meet(path string) (*Predecessor, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("take the place of a running proxy: %w", err)
	}
	p := &Predecessor{l: newLink(c), Sockets: map[int]string{}, Owned: map[int]bool{}, wishes: map[uint64]func(){}, places: map[poolName]int{}}
	hello := &heliosv1.SuccessorHello{Version: version.String(), Pid: int64(os.Getpid()), Understands: understands}
	if err := p.send(&heliosv1.FromSuccessor{Message: &heliosv1.FromSuccessor_Hello{Hello: hello}}); err != nil {
		p.l.close()
		return nil, fmt.Errorf("take the place of a running proxy: %w", err)
	}
	var m heliosv1.FromPredecessor
	err = p.l.read(&m)
	e := m.GetEstate()
	switch {
	case err != nil:
	case e == nil:
		err = errors.New("it does not say what it has")
	case e.GetRefusal() != "":
		err = errors.New(e.GetRefusal())
	}
	var fds []int
	if err == nil {
		fds, err = p.l.take(len(e.GetSockets()))
	}
	if err != nil {
		p.l.close()
		return nil, fmt.Errorf("take the place of a running proxy: %w", err)
	}
	p.PID, p.Version, p.Keys = e.GetPid(), e.GetVersion(), e.GetKeys()
	for i, s := range e.GetSockets() {
		p.Sockets[fds[i]], p.Owned[fds[i]] = s.GetName(), s.GetOwnsFile()
	}
	return p, nil
}

func (p *Predecessor) send(m *heliosv1.FromSuccessor) error { return p.l.write(m) }

// Close lets the old process go on as if nothing had been.
func (p *Predecessor) Close() { _ = p.l.c.Close() }

// Read begins to hear the old process.
func (p *Predecessor) Read(h Heir) {
	p.reading.Do(func() { go p.read(h) })
}

// Ready says that clients are taken in here, and that sessions may come.
func (p *Predecessor) Ready() error {
	return p.send(&heliosv1.FromSuccessor{Message: &heliosv1.FromSuccessor_Ready{Ready: &heliosv1.SuccessorReady{}}})
}

func (p *Predecessor) read(h Heir) {
	var why error
	for done := false; why == nil && !done; {
		var m heliosv1.FromPredecessor
		if why = p.l.read(&m); why != nil {
			break
		}
		switch m := m.GetMessage().(type) {
		case *heliosv1.FromPredecessor_Session:
			why = p.take(h, m.Session)
		case *heliosv1.FromPredecessor_PlaceGranted:
			p.granted(m.PlaceGranted)
		case *heliosv1.FromPredecessor_PlaceNeeded:
			h.Needed(m.PlaceNeeded)
		case *heliosv1.FromPredecessor_Done:
			done = m.Done
		}
	}
	p.free()
	p.l.close()
	h.Alone(why)
}

// take takes a session in. The old process hears of that first: what it is told of the place of the server connection comes behind it.
func (p *Predecessor) take(h Heir, s *heliosv1.CarriedSession) error {
	n := 1
	if s.GetServer() != nil {
		n = 2
	}
	fds, err := p.l.take(n)
	if err != nil {
		return err
	}
	if of := s.GetServer().GetPool(); of != nil {
		p.mu.Lock()
		p.places[poolName{of.GetNode(), of.GetDatabase(), of.GetUser()}]++
		p.mu.Unlock()
	}
	_ = p.send(&heliosv1.FromSuccessor{Message: &heliosv1.FromSuccessor_Taken{Taken: s.GetId()}})
	h.Take(s, fds)
	return nil
}

// Ask calls granted when there is a place for a server connection in the pool: at once where the old process is gone.
func (p *Predecessor) Ask(node, database, user string, granted func()) {
	p.mu.Lock()
	if p.gone {
		p.mu.Unlock()
		granted()
		return
	}
	p.last++
	id, name := p.last, poolName{node, database, user}
	p.wishes[id] = func() { p.places[name]++; granted() }
	p.mu.Unlock()
	_ = p.send(&heliosv1.FromSuccessor{Message: &heliosv1.FromSuccessor_PlaceWanted{PlaceWanted: &heliosv1.PlaceWanted{
		Id: id, Pool: &heliosv1.PoolName{Node: node, Database: database, User: user},
	}}}) // a link that is broken ends the reading, which grants all
}

// Return gives a place back that was granted.
func (p *Predecessor) Return(node, database, user string) {
	p.mu.Lock()
	name := poolName{node, database, user}
	has := !p.gone && p.places[name] > 0
	if has {
		p.places[name]--
	}
	p.mu.Unlock()
	if has {
		_ = p.send(&heliosv1.FromSuccessor{Message: &heliosv1.FromSuccessor_PlaceReturned{
			PlaceReturned: &heliosv1.PoolName{Node: node, Database: database, User: user},
		}})
	}
}

// Cancel asks the old process to cancel what one of its sessions does.
func (p *Predecessor) Cancel(pid uint32, secret []byte) {
	_ = p.send(&heliosv1.FromSuccessor{Message: &heliosv1.FromSuccessor_Cancel{Cancel: &heliosv1.CancelKey{Pid: pid, Secret: secret}}})
}

// granted fulfils a wish.
func (p *Predecessor) granted(id uint64) {
	p.mu.Lock()
	f := p.wishes[id]
	delete(p.wishes, id)
	if f != nil {
		f() // it posts to a loop
	}
	p.mu.Unlock()
}

// free fulfils all wishes: nobody counts any more.
func (p *Predecessor) free() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	for id, f := range p.wishes {
		delete(p.wishes, id)
		f()
	}
}
