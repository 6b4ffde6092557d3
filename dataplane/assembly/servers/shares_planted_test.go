//go:build planted

package servers

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/planted"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// TestDeafToShares plants that places go to whoever has asked first, whatever pool it is, and sees that it is found.
func TestDeafToShares(t *testing.T) {
	defer planted.Plant("")
	planted.Plant(planted.Hog)
	if promptly(t, pgcluster.Start(t, pgcluster.Options{}).Primary) == "" {
		t.Error("that one database has all places is not found")
	}
}
