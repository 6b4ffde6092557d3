package fleet

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestAlarm makes an event of failed log-ins where they are many, and not more than one a minute.
func TestAlarm(t *testing.T) {
	var a alarm
	now, began := time.Unix(1e9, 0), time.Unix(1e8, 0)
	for _, c := range []struct {
		after time.Duration
		began time.Time
		count uint64
		want  string
	}{
		{0, began, 9, ""},
		{0, began, 10, "10 log-ins have failed: the proxy's log says whose"},
		{59 * time.Second, began, 100, ""},
		{time.Second, began, 100, "90 log-ins have failed within 1m0s: the proxy's log says whose"},
		{time.Hour, began, 109, ""},
		{0, began, 110, "10 log-ins have failed within 1h0m0s: the proxy's log says whose"},
		{time.Hour, began.Add(1), 12, "12 log-ins have failed: the proxy's log says whose"}, // it was started again
	} {
		now = now.Add(c.after)
		e := a.hear("p", &heliosv1.StatusReport{Started: timestamppb.New(c.began), FailedLogins: c.count}, now)
		if e.GetMessage() != c.want || e != nil && (e.GetType() != "logins-failed" || e.GetNodeId() != "p") {
			t.Errorf("%d after %s: %v, want %q", c.count, c.after, e, c.want)
		}
	}
}
