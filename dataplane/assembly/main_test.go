package assembly_test

import (
	"os"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
)

func TestMain(m *testing.M) { os.Exit(stage.Run(m)) }
