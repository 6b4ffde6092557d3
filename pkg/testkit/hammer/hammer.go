// Package hammer runs a piece of code from many goroutines at once, so that the race detector and the code's own checks have
// something to find. It never decides what is right: the code that it runs does.
package hammer

import (
	"fmt"
	"runtime/debug"
	"sync"
	"testing"
)

// Run calls f(p, n) from goroutines p = 0, 1, … each for n = 0, 1, … times. All goroutines wait for each other before the
// first call. An error ends its goroutine and fails the test; a panic counts as an error.
func Run(t testing.TB, goroutines, times int, f func(p, n int) error) {
	t.Helper()
	var ready, done sync.WaitGroup
	ready.Add(goroutines)
	errs := make(chan error, goroutines)
	for p := range goroutines {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			for n := range times {
				if err := call(f, p, n); err != nil {
					errs <- fmt.Errorf("goroutine %d, call %d: %w", p, n, err)
					return
				}
			}
		})
	}
	done.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func call(f func(p, n int) error, p, n int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return f(p, n)
}
