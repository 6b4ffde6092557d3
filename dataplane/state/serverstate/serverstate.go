// Package serverstate is what is so on a server connection: its transaction status, what is set on it, what it has prepared, what it reports. It never does I/O; the connection keeps it true, and a session reads and notes in it while it has the lease.
package serverstate

import (
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// Server is the state of one server connection.
type Server struct {
	// Status is the transaction status that the server told last.
	Status byte
	// Settings is what is set beyond the server's defaults.
	Settings settings.Set
	// Held is which prepared statements the connection has.
	Held *statement.Held
	// Params is what the server reports of its parameters, in the order of its first report.
	Params []settings.Pair
	// Defaults is what it reports of those that are not set, with names in lower case: see Learn.
	Defaults settings.Set
	changed  bool // Params, since
	// Tainted says that what is set is not known: the connection is reset before anyone else gets it.
	Tainted bool
	// Spoiled says that something was done to the connection that no reset undoes: it is closed when its session lets go of it.
	Spoiled bool
	// Owner is the session that had the connection last, and Foreign what of it is nobody else's.
	Owner   uint64
	Foreign settings.Foreign
	// Sequences is how often the owner had used sequences when it last did so here: if it has since, somewhere else, what currval and
	// lastval answer here is out of date.
	Sequences uint64
}

// UseSequences notes that the owner may use sequences, which it had done so often before, and returns how often it has now.
func (s *Server) UseSequences(before uint64) (now uint64) {
	s.Foreign |= settings.ForeignSequences
	s.Sequences = before + 1
	return s.Sequences
}

// IsForeign says whether the connection has anything to be taken away before the session owner has it, which has used sequences
// so often.
func (s *Server) IsForeign(owner, sequences uint64) bool {
	return s.Foreign != 0 && (s.Owner != owner || s.Foreign&settings.ForeignSequences != 0 && s.Sequences != sequences)
}

// Away returns what of the connection's last owner has to be taken away before the session owner has it, and
// notes that it is.
func (s *Server) Away(owner, sequences uint64) settings.Foreign {
	var f settings.Foreign
	switch {
	case s.Owner != owner:
		f, s.Foreign, s.Owner = s.Foreign, 0, owner
	case s.IsForeign(owner, sequences):
		f = settings.ForeignSequences
		s.Foreign &^= f
	}
	if planted.Is(planted.Sequence) {
		f &^= settings.ForeignSequences
	}
	return f
}

// SetParam notes that the server reports a parameter. The bytes are copied.
func (s *Server) SetParam(name, value []byte) {
	for i := range s.Params {
		if s.Params[i].Name == string(name) {
			if s.Params[i].Value != string(value) {
				s.Params[i].Value, s.changed = string(value), true
			}
			return
		}
	}
	s.changed = true
	s.Params = append(s.Params, settings.Pair{Name: string(name), Value: string(value)})
}

// Learn brings Defaults up to date. It is called where no transaction is open and Settings is what is set.
func (s *Server) Learn() {
	if s.changed {
		s.learn()
	}
}

func (s *Server) learn() {
	s.changed = false
	var now []settings.Pair
	for _, p := range s.Params {
		n := strings.ToLower(p.Name)
		if !s.Settings.Has(n) && (n != "is_superuser" || !s.Settings.Who()) {
			now = append(now, settings.Pair{Name: n, Value: p.Value})
		}
	}
	s.Defaults = settings.Of(now...).Over(s.Defaults)
}

// Param returns what the server reports of a parameter, by its exact name.
func (s *Server) Param(name string) string {
	for _, p := range s.Params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Left is what a client that is gone has left on its server connection.
type Left struct {
	Owed     int    // ReadyForQuery messages that the server owes
	Unsynced bool   // extended messages without a Sync
	Partial  bool   // the beginning of a message
	CopyIn   bool   // the server waits for copy data
	Extended bool   // what it answers is of the extended protocol
	Tail     int    // bytes that are to come of a message that the client was being sent
	Head     []byte // the beginning of a message of the server
	Dirty    bool   // what is set on the connection is not known
}
