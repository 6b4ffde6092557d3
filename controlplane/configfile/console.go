package configfile

import (
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

func consoleKeys() []key {
	return []key{
		{
			name: "console.admin_users", kind: texts,
			doc: "Users who may do everything on the [admin console](console.md), which is where a client connects to the database `pgbouncer` or `heliosproxy`. Without this and `stats_users` those may who come by a unix socket or from loopback and whom the listener lets in by trust, and nobody else.",
		},
		{
			name: "console.stats_users", kind: texts,
			doc: "Users who may look there (`SHOW`), and nothing else.",
		},
		{
			name: "console.wait_timeout_secs", kind: integer, max: year, def: int64(120),
			doc: "Seconds that `PAUSE`, `SUSPEND`, `KILL` and `WAIT_CLOSE` wait for transactions to end and server connections to close. Then they give up, and what was paused goes on. 0 waits for ever, as PgBouncer does.",
		},
	}
}

func (r *reader) buildConsole() {
	s := r.settings
	r.set.Consoles = map[string]*heliosv1.Console{resource.ConsoleName: {
		Name:        resource.ConsoleName,
		AdminUsers:  s.texts("console.admin_users"),
		StatsUsers:  s.texts("console.stats_users"),
		WaitTimeout: durationpb.New(seconds(s.int("console.wait_timeout_secs"))),
	}}
	r.from(resource.KindConsole, resource.ConsoleName, s, "console.", map[string]string{
		"admin_users": "admin_users", "stats_users": "stats_users", "wait_timeout": "wait_timeout_secs",
	})
}
