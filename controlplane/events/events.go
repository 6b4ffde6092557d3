// Package events is what has happened lately in a control plane and to its proxies, in memory. It never holds anybody up: who reads too slowly is told how much he missed.
package events

import (
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// kept is how many events are kept.
const kept = 4096

// Log is events in order. Several goroutines may use it at once.
type Log struct {
	now func() time.Time

	mu    sync.Mutex
	ring  [kept]*heliosv1.Event
	next  uint64        // the number of the next event
	added chan struct{} // closed at the next event
}

// New makes a log.
func New(now func() time.Time) *Log { return &Log{now: now, added: make(chan struct{})} }

// Add notes an event; its time is set. The event is the log's from then on.
func (l *Log) Add(e *heliosv1.Event) {
	e.Time = timestamppb.New(l.now())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring[l.next%kept] = e
	l.next++
	close(l.added)
	l.added = make(chan struct{})
}

// From returns the events from a number on, the number to go on with, how many are lost in between, and a
// channel that is closed when there are more.
func (l *Log) From(n uint64) (events []*heliosv1.Event, next, lost uint64, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next > kept && n < l.next-kept {
		lost = l.next - kept - n
		n += lost
	}
	for ; n < l.next; n++ {
		events = append(events, l.ring[n%kept])
	}
	return events, n, lost, l.added
}
