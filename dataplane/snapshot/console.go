package snapshot

import (
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Console is who may use the admin console.
type Console struct {
	Admins  []string      // may do everything
	Lookers []string      // may look
	Wait    time.Duration // of a command, for others; 0 is for ever
}

// inquired is the database whose auth_query knows the users of what a client asks for: for the console that of all others, if that says
// where it asks.
func (s *Snapshot) inquired(asked Asked) *database {
	if !resource.IsConsole(asked.Database) {
		d, _ := s.choose(asked)
		return d
	}
	if d := s.databases[Asked{Database: resource.AnyDatabase}]; d != nil && d.query != nil && d.query.Database != "" {
		return d
	}
	return nil
}

func consoleOf(x *heliosv1.Console) Console {
	return Console{Admins: x.GetAdminUsers(), Lookers: x.GetStatsUsers(), Wait: x.GetWaitTimeout().AsDuration()}
}
