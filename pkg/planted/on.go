//go:build planted

package planted

import "sync/atomic"

// now is the part that is left out. It is the one thing of the process that a test has to reach wherever it is.
var now atomic.Value

// Is says whether the part is left out.
func Is(f Fault) bool { return now.Load() == f }

// Plant leaves a part out from now on; "" is none.
func Plant(f Fault) { now.Store(f) }
