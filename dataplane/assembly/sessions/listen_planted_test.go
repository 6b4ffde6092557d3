//go:build planted

package sessions

import (
	"context"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// TestDeaf plants what makes sessions that listen hear wrongly, and sees that it is found.
func TestDeaf(t *testing.T) {
	defer planted.Plant("")
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	_, addr := stage.Start(t, stage.Sharing(pg, 2))
	planted.Plant(planted.Early)
	if got := commits(t, pg, stage.NewEar(t, addr), stage.NewEar(t, addr)); got != "news:before news:behind" {
		t.Errorf("a LISTEN that counts before its COMMIT is not found: %s", got)
	}
	planted.Plant(planted.Overflow)
	p, addr := stage.Start(t, stage.Sharing(pg, 2))
	if slowly(t, pg, p, addr) == "" {
		t.Error("notifications that are dropped without a word are not found")
	}
	planted.Plant(planted.Unheard)
	pg.Exec(t, "CREATE ROLE u LOGIN CONNECTION LIMIT 1") // the listener finds no room, as in TestListenFailed
	_, addr = stage.Start(t, stage.Sharing(pg, 1))
	c := stage.Connect(t, addr, "u")
	stage.Want(t, c, "SELECT 1", "1")
	stage.Want(t, c, "LISTEN news", "")
	pg.Exec(t, "NOTIFY news")
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c.WaitForNotification(ctx) == nil {
		t.Error("LISTEN that is answered before the server listens is not found")
	}
}
