package reactor

import "runtime"

// Engine is how loops learn what happens at their descriptors.
type Engine uint8

const (
	Native     Engine = iota // what the platform is best at: Epoll on Linux, Goroutines elsewhere
	Epoll                    // the loop asks the kernel; on Linux alone
	Goroutines               // one for each descriptor waits for Go's own poller, and tells the loop
)

// String returns the engine's name.
func (e Engine) String() string { return [...]string{"native", "epoll", "goroutines"}[e] }

// resolve returns what Native stands for, and e itself otherwise.
func (e Engine) resolve() Engine {
	switch {
	case e != Native:
		return e
	case runtime.GOOS == "linux":
		return Epoll
	default:
		return Goroutines
	}
}

// engine tells a loop what happens at its descriptors. The loop's thread alone calls it, but for wakeUp.
type engine interface {
	// wait returns when something has happened, or wakeUp was called, and within timeout milliseconds; -1 is for ever.
	wait(timeout int)
	// deliver tells the endpoints and listeners what has happened.
	deliver()
	// wakeUp ends a wait. Any thread may call it.
	wakeUp()
	// add watches an endpoint: what can be received, and what of it can be sent where it wants that.
	add(e *Endpoint) error
	// room asks to be told when e can send again, of which the last send has left something.
	room(e *Endpoint)
	// remove watches an endpoint no more that goes elsewhere. What is closed needs no call.
	remove(e *Endpoint)
	// listen watches a listener, until ignore.
	listen(ls *Listener) error
	ignore(ls *Listener)
	close()
}
