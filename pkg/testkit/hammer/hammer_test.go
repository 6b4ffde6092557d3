package hammer

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

func TestRunCallsEach(t *testing.T) {
	var calls [8][20]atomic.Int32
	Run(t, 8, 20, func(p, n int) error {
		calls[p][n].Add(1)
		return nil
	})
	for p := range calls {
		for n := range calls[p] {
			if got := calls[p][n].Load(); got != 1 {
				t.Errorf("goroutine %d, call %d ran %d times", p, n, got)
			}
		}
	}
}

// recorder is a testing.TB that keeps what would fail.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper()        {}
func (r *recorder) Error(a ...any) { r.errors = append(r.errors, fmt.Sprint(a...)) }

func TestRunReportsErrorsAndPanics(t *testing.T) {
	r := &recorder{TB: t}
	Run(r, 3, 5, func(p, n int) error {
		switch {
		case p == 0 && n == 2:
			return errors.New("planted")
		case p == 1 && n == 3:
			panic("planted too")
		}
		return nil
	})
	all := strings.Join(r.errors, "\n")
	if len(r.errors) != 2 || !strings.Contains(all, "goroutine 0, call 2: planted") || !strings.Contains(all, "goroutine 1, call 3: panic: planted too") {
		t.Errorf("reported %q", r.errors)
	}
}
