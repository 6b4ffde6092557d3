// Package serverstate is what is so on a server connection: its transaction status, what is set on it, what it has prepared, what it reports. It never does I/O; the connection keeps it true, and a session reads and notes in it while it has the lease.
package serverstate

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
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
	// Tainted says that what is set is not known: the connection is reset before anyone else gets it.
	Tainted bool
}

// SetParam notes that the server reports a parameter. The bytes are copied.
func (s *Server) SetParam(name, value []byte) {
	for i := range s.Params {
		if s.Params[i].Name == string(name) {
			if s.Params[i].Value != string(value) {
				s.Params[i].Value = string(value)
			}
			return
		}
	}
	s.Params = append(s.Params, settings.Pair{Name: string(name), Value: string(value)})
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
