// Package handover lets a new process take the place of an old one without a client noticing: its listening sockets, the sessions of its clients, and the places of its server connections, one by one. It moves descriptors and messages; it never looks into a session.
//
// The old process listens at a unix socket. The new one says hello and is given the listening sockets; with its configuration in force
// it says that it is ready. From then on it takes clients in, and the old one gives it each session that is at rest, until none is left
// or its time is over. A server connection is given only with a session that keeps it: for each that the new process wants to open it asks
// for a place. The old one counts both as its own, so that together they never have more than one had.
package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/ownersock"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Listen opens the socket at which a process can be succeeded, in place of the one that another process listens at if that is being
// succeeded itself. Who may open the file may take everything over: it has mode 0600.
func Listen(path string, succeeds bool) (*net.UnixListener, error) {
	l, err := ownersock.Listen(path, succeeds)
	switch {
	case errors.Is(err, ownersock.ErrAnswers):
		return nil, fmt.Errorf("another process answers at %s: take its place, or give this one a state directory of its own", path)
	case err != nil:
		return nil, fmt.Errorf("take-over socket: %w", err)
	}
	return l, nil
}

// House is the proxy whose place is taken. Its methods are called by one goroutine and do not wait.
type House interface {
	// Estate is what a successor gets first, with the descriptors of its sockets. What two processes cannot have at once is let go of.
	Estate() (*heliosv1.Estate, []int)
	// Give begins to hand over: it is called once for a successor that is ready.
	Give(to *Successor)
	// Place calls granted, from any goroutine, when there is a place for one server connection more in a pool. Return gives one back.
	Place(pool *heliosv1.PoolName, granted func())
	Return(pool *heliosv1.PoolName)
	// Cancel cancels what the session does that has the key.
	Cancel(pid uint32, secret []byte)
	// Taken hears that a session has arrived.
	Taken(id uint64)
	// Stay is called when a process that has had the estate has gone away: what it has not taken stays, and its places are free. why is
	// nil where it was never ready.
	Stay(why error)
}

// helloTime is how long a process may take to say hello: others wait meanwhile.
const helloTime = 5 * time.Second

// Serve lets one process after another try to be the successor, until the context ends.
func Serve(ctx context.Context, at *net.UnixListener, h House) {
	context.AfterFunc(ctx, func() { _ = at.Close() })
	for {
		c, err := at.AcceptUnix()
		if err != nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		l := newLink(c)
		_ = c.SetReadDeadline(time.Now().Add(helloTime))
		met, begun, err := succeed(l, h)
		stop()
		l.close()
		if !begun {
			err = nil
		}
		if met && ctx.Err() == nil {
			h.Stay(err)
		}
	}
}

// succeed talks with one process until it goes away. met says that it had the estate, begun that it was ready.
func succeed(l *link, h House) (met, begun bool, err error) {
	s := newSuccessor(l)
	defer s.end()
	for {
		var m heliosv1.FromSuccessor
		if err := l.read(&m); err != nil {
			return met, begun, err
		}
		switch m := m.GetMessage().(type) {
		case *heliosv1.FromSuccessor_Hello:
			_ = s.l.c.SetReadDeadline(time.Time{})
			s.understands = m.Hello.GetUnderstands()
			e, fds := h.Estate()
			met = e.GetRefusal() == ""
			s.say(&heliosv1.FromPredecessor{Message: &heliosv1.FromPredecessor_Estate{Estate: e}}, fds...)
		case *heliosv1.FromSuccessor_Ready:
			if begun {
				return met, begun, errors.New("the new process says twice that it is ready")
			}
			begun = true
			h.Give(s)
		case *heliosv1.FromSuccessor_Taken:
			h.Taken(m.Taken)
		case *heliosv1.FromSuccessor_PlaceWanted:
			h.Place(m.PlaceWanted.GetPool(), func() {
				s.say(&heliosv1.FromPredecessor{Message: &heliosv1.FromPredecessor_PlaceGranted{PlaceGranted: m.PlaceWanted.GetId()}})
			})
		case *heliosv1.FromSuccessor_PlaceReturned:
			h.Return(m.PlaceReturned)
		case *heliosv1.FromSuccessor_Cancel:
			h.Cancel(m.Cancel.GetPid(), m.Cancel.GetSecret())
		}
	}
}
