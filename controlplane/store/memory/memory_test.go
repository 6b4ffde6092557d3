package memory_test

import (
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/memory"
	"github.com/heliosproxy/heliosproxy/controlplane/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store {
		s := memory.New()
		s.Progress = 20 * time.Millisecond
		return s
	})
}
