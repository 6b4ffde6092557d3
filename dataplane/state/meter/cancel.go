package meter

// Cancel is what became of a CancelRequest.
type Cancel uint8

// What becomes of them.
const (
	CancelServed     Cancel = iota // it has reached its session
	CancelForwarded                // another proxy has served it
	CancelUnknown                  // nobody has the key
	CancelLimited                  // it was not looked at, or not passed on: too many were wrong, or are on their way
	CancelPeerFailed               // a proxy that may have the key was not reached
	CancelOutcomes   = iota        // how many there are
)

// String is the word for it in a metric.
func (c Cancel) String() string {
	return [CancelOutcomes]string{"served", "forwarded", "unknown", "limited", "peer_failed"}[c]
}

// Cancels are how many there were of each.
type Cancels [CancelOutcomes]uint64

// All yields the numbers with their words.
func (c *Cancels) All(yield func(outcome string, n uint64) bool) {
	for i, n := range c {
		if !yield(Cancel(i).String(), n) {
			return
		}
	}
}
