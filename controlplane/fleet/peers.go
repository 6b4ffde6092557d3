package fleet

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	// together is how long is waited for further changes before proxies are told who the others are.
	together = 50 * time.Millisecond
	// joinPause is the pause before a proxy that got no number is given one again.
	joinPause = time.Second
)

// Roster gives proxies their numbers.
type Roster interface {
	// Join returns the number of a proxy, and notes where the others reach it.
	Join(ctx context.Context, node, address string) (number uint32, err error)
	// Peers is what the proxy with a number is told; nil if that is not known yet.
	Peers(number uint32) *heliosv1.Peers
	// Subscribe returns a channel that is sent to when that may have changed.
	Subscribe() (<-chan struct{}, func())
}

// introduce gives a proxy its number and hands out who the others are, whenever that has changed, until ctx ends. Where there is no
// number for it, it goes without until there is one.
func (f *Fleet) introduce(ctx context.Context, id string, r *reporter) {
	changed, stop := f.o.Roster.Subscribe()
	defer stop()
	var told *heliosv1.Peers
	failed := ""
	for {
		number, err := f.o.Roster.Join(ctx, id, f.cancelAddress(r))
		if ctx.Err() != nil {
			return
		}
		var retry <-chan time.Time
		if err != nil {
			retry = time.After(joinPause)
			if failed != err.Error() {
				f.o.Event(&heliosv1.Event{Type: "no-number", NodeId: id, Message: err.Error()})
			}
			failed = err.Error()
		}
		p := f.o.Roster.Peers(number)
		if err == nil && p != nil {
			failed = ""
			if f.twin(id, r) {
				p.YourNumber = 0
			}
			if !proto.Equal(told, p) {
				select {
				case r.peers <- p:
					told = p
				case <-ctx.Done():
					return
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-retry:
		case <-r.news:
		case <-changed:
			select {
			case <-time.After(together):
			case <-ctx.Done():
				return
			}
		}
	}
}

// cancelAddress is where the others reach a proxy, as it said last.
func (f *Fleet) cancelAddress(r *reporter) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return r.last.GetCancelAddress()
}

// twin says whether another process that has come earlier reports under the same node id: two that live have no number in common.
func (f *Fleet) twin(id string, r *reporter) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[id]
	if n == nil {
		return false
	}
	for x := range n.reporters {
		if x.came.Before(r.came) && !proto.Equal(x.last.GetStarted(), r.last.GetStarted()) {
			return true
		}
	}
	return false
}
