// Package sessions tests what a session has that shares server connections: statements, settings, rights, what it listens to, and what makes it keep one.
package sessions

import (
	"os"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
)

func TestMain(m *testing.M) { os.Exit(stage.Run(m)) }
