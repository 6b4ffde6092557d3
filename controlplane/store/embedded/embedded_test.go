package embedded_test

import (
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/embedded"
	"github.com/heliosproxy/heliosproxy/controlplane/store/storetest"
)

func open(t *testing.T, dir string) store.Store {
	t.Helper()
	s, err := embedded.Open(t.Context(), embedded.Options{Dir: dir, Log: zaptest.NewLogger(t), Unsafe: true, Progress: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}
