// Package meter is what loops count: plain integers, each owned by one loop and summed when somebody asks. It never locks.
package meter

import (
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
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
	Denied     Denied              // those of which it was a server's

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

// Denied counts log-ins that servers refused, by SQLSTATE. What is one is a server's to say, so there are but so many.
type Denied struct {
	States [16]string // of each count that is not 0
	Counts [16]uint64
	Others uint64 // of further SQLSTATEs, and of what is none
}

// add counts n with a SQLSTATE.
func (d *Denied) add(state string, n uint64) {
	if n == 0 {
		return
	}
	for i := range d.Counts {
		if d.Counts[i] > 0 && d.States[i] != state {
			continue
		}
		d.States[i] = state
		d.Counts[i] += n
		return
	}
	d.Others += n
}

// Unadmit counts a log-in that was refused: with an error of the proxy's, or of a server's, or, if both are nil, without one.
func (m *Loop) Unadmit(proxy *pgerr.Error, server *pgwire.ServerError) {
	switch {
	case proxy != nil:
		m.Unadmitted[proxy.ID]++
	case server != nil && isSQLState(server.SQLState):
		m.Denied.add(server.SQLState, 1)
	case server != nil:
		m.Denied.Others++
	}
}

// isSQLState says whether a text is five digits and upper-case letters, which are SQLSTATEs.
func isSQLState(s string) bool {
	return len(s) == 5 && !strings.ContainsFunc(s, func(c rune) bool { return (c < '0' || c > '9') && (c < 'A' || c > 'Z') })
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
	for i, n := range o.Denied.Counts {
		m.Denied.add(o.Denied.States[i], n)
	}
	m.Denied.Others += o.Denied.Others
	for i := range m.Pinned {
		m.Pinned[i] += o.Pinned[i]
		m.Dropped[i] += o.Dropped[i]
	}
	m.FromClient += o.FromClient
	m.ToClient += o.ToClient
}
