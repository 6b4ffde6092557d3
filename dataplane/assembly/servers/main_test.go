// Package servers tests the connections to servers: where they lead, how many there are and how long, and what becomes of a statement that is cancelled or whose client or server dies.
package servers

import (
	"os"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
)

func TestMain(m *testing.M) { os.Exit(stage.Run(m)) }
