package fleet

import (
	"fmt"
	"time"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	alarming = 10          // failed log-ins that are worth an event
	quiet    = time.Minute // and how often there is one at most
)

// alarm turns the count of a proxy's failed log-ins into events.
type alarm struct {
	told  uint64 // the count when there was one last
	at    time.Time
	start time.Time // of the process that counts
}

// hear takes a report, and returns the event that it is worth, or nil.
func (a *alarm) hear(id string, r *heliosv1.StatusReport, now time.Time) *heliosv1.Event {
	if started := r.GetStarted().AsTime(); !started.Equal(a.start) {
		*a = alarm{start: started, at: a.at}
	}
	n := r.GetFailedLogins() - min(a.told, r.GetFailedLogins())
	if n < alarming || now.Sub(a.at) < quiet {
		return nil
	}
	since := ""
	if a.told > 0 {
		since = fmt.Sprintf(" within %s", now.Sub(a.at).Round(time.Second))
	}
	a.told, a.at = r.GetFailedLogins(), now
	return &heliosv1.Event{Type: "logins-failed", NodeId: id, Message: fmt.Sprintf("%d log-ins have failed%s: the proxy's log says whose", n, since)}
}
