package assembly_test

import (
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// CVE-2025-2291: PgBouncer's auth_query did not look at VALID UNTIL, and took passwords that had expired.
func TestCVE2025_2291(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "ann's", "scram-sha-256")
	log := func(addr string) string { return stage.Psql(t, addr, stage.As("ann", "ann's"), "SELECT current_user") }
	const wrong = `password authentication failed for user "ann"`
	for until, in := range map[string]bool{"2001-01-01": false, "-infinity": false, "infinity": true, "2999-01-01": true} {
		pg.Primary.Exec(t, "ALTER ROLE ann VALID UNTIL '"+until+"'")
		_, addr := stage.Start(t, stage.Asking(pg, time.Minute))
		if got := log(addr); in && got != "ann" || !in && !strings.Contains(got, wrong) {
			t.Errorf("VALID UNTIL %s: %s", until, got)
		}
	}
	// An answer that is still kept is not good for longer than the password.
	pg.Primary.Exec(t, "DO $$BEGIN EXECUTE format('ALTER ROLE ann VALID UNTIL %L', now() + interval '5 s'); END$$")
	px, addr := stage.Start(t, stage.Asking(pg, time.Hour))
	if got := log(addr); got != "ann" && !strings.Contains(got, wrong) { // or it was slow to start
		t.Error(got)
	}
	stage.Eventually(t, 20*time.Second, "the password expires", func() bool { return strings.Contains(log(addr), wrong) })
	if n := px.Hub().Users.Len(); n != 1 {
		t.Errorf("%d users are known", n)
	}
}
