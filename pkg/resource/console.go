package resource

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// ConsoleName is the name of the one Console.
const ConsoleName = "default"

// IsConsole says whether a client that connects to the database wants the admin console.
func IsConsole(database string) bool { return database == "pgbouncer" || database == "heliosproxy" }

func (c *checker) console(x *heliosv1.Console) {
	if x.GetName() != ConsoleName {
		c.refuse("name", "must be %q", ConsoleName)
	}
	for field, users := range map[string][]string{"admin_users": x.GetAdminUsers(), "stats_users": x.GetStatsUsers()} {
		if slices.Contains(users, "") {
			c.refuse(field, "there is an empty name")
		}
	}
	c.duration("wait_timeout", x.GetWaitTimeout(), true)
}

func completeConsole(x *heliosv1.Console) {
	if x.WaitTimeout == nil {
		x.WaitTimeout = durationpb.New(2 * time.Minute)
	}
}
