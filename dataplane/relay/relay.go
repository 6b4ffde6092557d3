// Package relay moves bytes between a client and its server connection, in both directions at once. It never looks at them: what becomes of a chunk is said by the session's protocol machine.
package relay

import (
	"errors"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// Machine is the session as the relay sees it. The bytes that it returns are valid until the next park.
type Machine interface {
	FromClient(p []byte, srv *serverstate.Server) (toServer, toClient []byte, err error)
	FromServer(p []byte, srv *serverstate.Server) (toClient []byte, err error)
	// Quiet says that nothing is under way in either direction.
	Quiet() bool
	// Free says that the session has no use for its server connection when it is quiet.
	Free() bool
	// Room says that more may be read from the client.
	Room() bool
	// Resume says, once, that what was read from the client and kept back can go on: FromClient is called without more. It is
	// asked whenever the task is woken.
	Resume() bool
	// Lags says that the server has nothing to do before more of the client comes.
	Lags() bool
}

// ErrClient wraps a failure of the client's side, ErrServer one of the server's.
var (
	ErrClient = errors.New("client")
	ErrServer = errors.New("server")
)

type failure struct{ side, err error }

func (f failure) Error() string   { return f.side.Error() + ": " + f.err.Error() }
func (f failure) Unwrap() []error { return []error{f.side, f.err} }

// Run sends p, which may be empty, and relays until nothing is under way: then the session rests, with
// its server connection or without. A slow side holds up the other one only: what it has not taken is
// at most a chunk and what the machine adds to it.
//
// There is one place to wait, for either side. A send that waited would deadlock a client that
// pipelines with a server that answers. What is waited there for the client is added to lag, in nanoseconds.
func Run(t *reactor.Task, client *reactor.Endpoint, srv *backend.Conn, m Machine, p []byte, lag *int64) error {
	if len(p) > 0 {
		if err := fromClient(client, srv, m, p); err != nil {
			return err
		}
	}
	for {
		if m.Resume() { // what it waited for has come from somewhere else
			if err := fromClient(client, srv, m, nil); err != nil {
				return err
			}
		}
		if srv.EP.Readable() && client.Drained() {
			p, err := srv.EP.TryRecv()
			if err != nil {
				return failure{ErrServer, err}
			}
			if p != nil {
				out, err := m.FromServer(p, &srv.Server)
				if err != nil {
					return err
				}
				if err := client.Send(out); err != nil {
					return failure{ErrClient, err}
				}
				if m.Resume() {
					if err := fromClient(client, srv, m, nil); err != nil {
						return err
					}
				}
			}
			if m.Quiet() && m.Free() {
				return nil
			}
			if p != nil {
				if err := t.Yield(); err != nil {
					return err
				}
				continue
			}
		}
		if client.Readable() && srv.EP.Drained() && m.Room() {
			p, err := client.TryRecv()
			if err != nil {
				return failure{ErrClient, err}
			}
			if planted.Is(planted.Short) && len(p) > 0 && len(p) < 5 {
				p = p[1:]
			}
			if p != nil {
				if err := fromClient(client, srv, m, p); err != nil {
					return err
				}
				if err := t.Yield(); err != nil {
					return err
				}
				continue
			}
		}
		if m.Quiet() {
			return nil
		}
		if client.HungUp() && !client.Drained() && client.Fault() != nil {
			return failure{ErrClient, client.Fault()}
		}
		since, lags := t.Loop().Now(), !client.Drained() || srv.EP.Drained() && m.Lags()
		err := t.Park()
		if lags {
			*lag += t.Loop().Now() - since
		}
		if err != nil {
			return err
		}
	}
}

func fromClient(client *reactor.Endpoint, srv *backend.Conn, m Machine, p []byte) error {
	out, back, err := m.FromClient(p, &srv.Server)
	if err != nil {
		return err
	}
	if err := srv.EP.Send(out); err != nil {
		return failure{ErrServer, err}
	}
	if err := client.Send(back); err != nil {
		return failure{ErrClient, err}
	}
	return nil
}
