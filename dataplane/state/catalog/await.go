package catalog

import (
	"errors"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// How long a catalogue is waited for, and how often that is looked at.
const (
	awaitFor  = time.Second
	awaitLook = 10 * time.Millisecond
)

// Await parks t until a catalogue that is being read for the first time is known, or for a moment. An error is the task's end.
func Await(t *reactor.Task, j Judge) error {
	l := t.Loop()
	for end := l.Now() + int64(awaitFor); l.Now() < end; {
		if _, ok := j.Parameters(); ok || !j.Coming() {
			break
		}
		t.SetDeadline(l.Now() + int64(awaitLook))
		err := t.Park()
		t.SetDeadline(0)
		if err != nil && !errors.Is(err, reactor.ErrDeadline) {
			return err
		}
	}
	return nil
}
