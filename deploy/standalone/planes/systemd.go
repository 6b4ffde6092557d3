package planes

import (
	"os"

	data "github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/pkg/systemd"
)

// Systemd is the service manager of this process.
func Systemd() *systemd.Manager { return systemd.New(os.Getenv, os.Getpid(), data.Monotonic) }
