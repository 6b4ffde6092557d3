// Package meter is what loops count: plain integers, each owned by one loop and summed when somebody asks. It never locks.
package meter

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// Loop is what one loop has counted since it began.
type Loop struct {
	Refused    uint64 // ErrorResponses that the proxy made
	Logins     uint64
	Cancels    Cancels
	Panics     uint64
	Looks      uint64 // server connections that were looked through after a transaction
	Notified   uint64 // notifications that sessions got by a connection that listens for all
	Unnotified uint64 // those that were dropped, as a session had no room for them
	FromClient uint64 // bytes of those who have not come to log in
	ToClient   uint64

	Unadmitted [pgerr.Count]uint64 // log-ins that were refused, by the error that the client was told

	Pinned  [pin.Count]uint64 // sessions that came to keep their server connection, by reason
	Dropped [pin.Count]uint64 // what sessions lost at the end of a transaction, by reason
}

// Pin counts a session that keeps its server connection for these reasons.
func (m *Loop) Pin(why pin.Set) {
	for i := range why.All() {
		m.Pinned[i]++
	}
}

// Drop counts what a session has lost.
func (m *Loop) Drop(what pin.Set) {
	for i := range what.All() {
		m.Dropped[i]++
	}
}

// Add adds what o has counted.
func (m *Loop) Add(o *Loop) {
	m.Refused += o.Refused
	m.Logins += o.Logins
	for i, n := range o.Cancels {
		m.Cancels[i] += n
	}
	m.Panics += o.Panics
	m.Looks += o.Looks
	m.Notified += o.Notified
	m.Unnotified += o.Unnotified
	for i, n := range o.Unadmitted {
		m.Unadmitted[i] += n
	}
	for i := range m.Pinned {
		m.Pinned[i] += o.Pinned[i]
		m.Dropped[i] += o.Dropped[i]
	}
	m.FromClient += o.FromClient
	m.ToClient += o.ToClient
}
