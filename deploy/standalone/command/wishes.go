package command

import (
	"context"
	"errors"
)

// wishes are what administrators want of the program on the console, for the goroutine that obeys signals too.
type wishes struct {
	reloads chan chan error
	endings chan Ending
	over    chan struct{} // closed when nobody obeys any more
}

func newWishes() wishes {
	return wishes{make(chan chan error), make(chan Ending, 1), make(chan struct{})}
}

var errEnding = errors.New("the proxy is about to end")

// reload asks for the configuration to be read again, and returns when it is in force.
func (w wishes) reload(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case w.reloads <- done:
		return <-done
	case <-w.over:
		return errEnding
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end asks for the end. Of several wishes that nobody has heard yet the one that waits for fewest stays.
func (w wishes) end(how Ending) {
	for {
		select {
		case w.endings <- how:
			return
		case before := <-w.endings:
			how = min(how, before)
		}
	}
}
