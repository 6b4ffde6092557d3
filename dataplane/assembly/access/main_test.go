// Package access tests who gets in at a proxy, and how: log-ins at it and at servers, TLS and certificates, passwords, programs that judge, and the holes that others have had there.
package access

import (
	"os"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
)

func TestMain(m *testing.M) { os.Exit(stage.Run(m)) }
