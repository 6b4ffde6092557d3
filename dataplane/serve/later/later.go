// Package later cancels a statement that the proxy has and the server does not yet, when it does: a signal that comes before a server process has read a statement is lost, as PostgreSQL ignores it, and one that meets what the proxy itself asks ends that.
package later

import (
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// Client is whose statement it is. All of it belongs to one loop.
type Client interface {
	Loop() *reactor.Loop
	// Unready says whether the server connection is still made ready for the statement.
	Unready() bool
	// Began is when the statement that runs at the server began, in the time of the loop; ok is false where none runs there.
	Began() (at int64, ok bool)
	// CancelNow cancels what the client has now, at the server or in the queue, or nothing. done is called when that is through.
	CancelNow(done func())
}

// How often it is looked, and, in looks: how long a server process has to read a statement before the signal comes, after how long that comes
// once more if the same statement still runs, and how long a connection that does not get ready is waited for.
const (
	often    = 2 * time.Millisecond
	read     = 2
	again    = read + 25
	patience = 2500
)

type cancel struct {
	reactor.Task
	of    Client
	done  func() // nil: it was called, or will be
	looks int
	ready int   // for so many looks
	since int64 // when the statement began that was cancelled
}

// Cancel cancels what the client has sent, when it is under way. done is called when that is through, or there is nothing left to cancel.
func Cancel(of Client, done func()) {
	k := &cancel{of: of, done: done}
	k.Init(of.Loop(), k)
	k.Wake()
}

// Serve looks once, and later again.
func (k *cancel) Serve(t *reactor.Task) {
	if t.Expired() && k.look() {
		k.finish()
		return
	}
	t.SetDeadline(t.Loop().Now() + int64(often))
}

// look does what the moment asks for. It says whether that was all.
func (k *cancel) look() (over bool) {
	k.looks++
	if k.of.Unready() {
		k.ready = 0
		return k.done == nil || k.looks == patience && k.tell() // what was cancelled is over
	}
	k.ready++
	at, runs := k.of.Began()
	switch {
	case !runs: // it waits for a connection, or is over
		return k.done == nil || k.tell()
	case k.ready == read:
		k.since = at
		k.tell()
	case k.ready > read && at != k.since:
		return true
	case k.ready == again:
		k.of.CancelNow(func() {})
		return true
	}
	return false
}

// tell cancels, and says once when that is through.
func (k *cancel) tell() bool {
	if done := k.done; done != nil {
		k.done = nil
		k.of.CancelNow(done)
	}
	return true
}

// Panicked counts as a cancel that did not get through.
func (k *cancel) Panicked(*reactor.Task, any, []byte) { k.finish() }

func (k *cancel) finish() {
	k.End()
	if k.done != nil {
		k.done()
	}
}
