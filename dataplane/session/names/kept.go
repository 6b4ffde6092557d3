package names

import "github.com/heliosproxy/heliosproxy/dataplane/state/statement"

// Kept is what executing statements does that are the server connection's own under the client's names. Those that do nothing
// to the session are not in it.
type Kept map[string]*statement.Effects

// Set notes what the statement does that has the name now; nil is nothing.
func (k *Kept) Set(name string, fx *statement.Effects) {
	switch {
	case fx == nil:
		delete(*k, name)
	case *k == nil:
		*k = Kept{name: fx}
	default:
		(*k)[name] = fx
	}
}
