//go:build planted && !race

package exact

import (
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// TestPlantedMoved plants faults in what goes along to another process: each is found by what TestMoved plays.
func TestPlantedMoved(t *testing.T) {
	st := newStage(t, *parallel, false)
	st.findWith(t, func(t *testing.T) (stop func(), err error) {
		end, err := st.moving(t, 3*time.Second)
		return func() { end() }, err
	}, chosen(parts(t)), planted.Unset, planted.Unbound)
}
