package catalog

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
)

// TestHandle goes through what may happen between changes and readings.
func TestHandle(t *testing.T) {
	facts := Compile(nil, nil)
	type state struct {
		h     *Handle
		done  []func()
		marks []Mark
	}
	change := func(s *state) { s.done = append(s.done, s.h.Change()) }
	over := func(s *state) { s.done[0](); s.done = s.done[1:] }
	begin := func(s *state) { s.marks = append(s.marks, s.h.Mark()) }
	read := func(s *state) { s.h.Publish(facts, s.marks[0]); s.marks = s.marks[1:] }
	same := func(s *state) { s.h.Confirm(s.marks[0]); s.marks = s.marks[1:] }
	withdraw := func(s *state) { s.h.Withdraw() }
	for name, c := range map[string]struct {
		steps []func(*state)
		sure  bool
		epoch uint64 // from 1 on, one more with each time that answers change
	}{
		"nothing":                        {nil, false, 1},
		"read":                           {[]func(*state){begin, read}, true, 2},
		"read twice":                     {[]func(*state){begin, read, begin, same}, true, 2},
		"changing":                       {[]func(*state){begin, read, change}, false, 3},
		"changed":                        {[]func(*state){begin, read, change, over}, false, 3},
		"changed, read":                  {[]func(*state){begin, read, change, over, begin, read}, true, 4},
		"changed, the same":              {[]func(*state){begin, read, change, over, begin, same}, true, 4},
		"read from before it was over":   {[]func(*state){begin, read, change, begin, over, read}, false, 3},
		"read from before it began":      {[]func(*state){begin, read, begin, change, over, read}, false, 3},
		"confirmed from before":          {[]func(*state){begin, read, begin, change, over, same}, false, 3},
		"read while it goes on":          {[]func(*state){begin, read, change, begin, read}, false, 3},
		"one over, another goes on":      {[]func(*state){begin, read, change, change, over, begin, read}, false, 3},
		"both over, read between":        {[]func(*state){begin, read, change, change, over, begin, over, read}, false, 3},
		"both over":                      {[]func(*state){begin, read, change, change, over, over, begin, read}, true, 4},
		"an earlier reading comes late":  {[]func(*state){begin, change, over, begin, read, read}, true, 3},
		"a change before the first":      {[]func(*state){change, over, begin, read}, true, 2},
		"withdrawn":                      {[]func(*state){begin, read, withdraw}, false, 3},
		"withdrawn, there is no same":    {[]func(*state){begin, read, withdraw, begin, same}, false, 3},
		"withdrawn while it was changed": {[]func(*state){begin, read, change, withdraw, over, begin, read}, true, 5},
	} {
		s := &state{h: NewHandle(nil)}
		for _, step := range c.steps {
			step(s)
		}
		reach, epoch := s.h.Judge(&sqlparse.Facts{})
		if sure := reach == 0; sure != c.sure || epoch != c.epoch || s.h.Epoch() != epoch {
			t.Errorf("%s: reaches %b in epoch %d, want sure %v in epoch %d", name, reach, epoch, c.sure, c.epoch)
		}
		if _, ok := s.h.Known(); ok != c.sure {
			t.Errorf("%s: known %v, want %v", name, ok, c.sure)
		}
	}
}

// TestWant counts how often a reading is asked for.
func TestWant(t *testing.T) {
	asked := 0
	h := NewHandle(func() { asked++ })
	h.Judge(nil)
	h.Publish(Compile(nil, nil), h.Mark())
	h.Judge(nil)
	if asked != 1 {
		t.Errorf("asked %d times, want once: at the first question", asked)
	}
	done := h.Change()
	if asked != 1 {
		t.Error("asked while the change goes on")
	}
	done()
	done()
	if asked != 2 {
		t.Errorf("asked %d times, want twice: after the change", asked)
	}
	if h.Publish(Compile(nil, nil), h.Mark()); h.Why(&sqlparse.Facts{}) != "" {
		t.Errorf("a change that was ended twice is not over: %s", h.Why(&sqlparse.Facts{}))
	}
}

// TestConcurrent changes, reads and judges side by side: where the answer is not that everything is suspect, it rests on a
// reading that has every change that was over before the question.
func TestConcurrent(t *testing.T) {
	h := NewHandle(nil)
	var catalogue, over atomic.Int64 // the version of the catalogue; the latest whose change was over
	var versions sync.Map            // of facts
	var changers, all sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		changers.Go(func() {
			for range 2000 {
				done := h.Change()
				v := catalogue.Add(1)
				done()
				for o := over.Load(); o < v && !over.CompareAndSwap(o, v); o = over.Load() {
				}
			}
		})
		all.Go(func() {
			for !stopped(stop) {
				m := h.Mark()
				f := &Facts{}
				versions.Store(f, catalogue.Load())
				h.Publish(f, m)
			}
		})
	}
	sure := 0
	all.Go(func() {
		for !stopped(stop) {
			known := over.Load()
			v := h.now.Load()
			if v.unsure {
				continue
			}
			sure++
			if has, _ := versions.Load(v.facts); has.(int64) < known {
				t.Errorf("judged by version %d of the catalogue after the change to %d was over", has, known)
				return
			}
		}
	})
	changers.Wait()
	close(stop)
	all.Wait()
	if h.Publish(&Facts{}, h.Mark()); h.now.Load().unsure {
		t.Error("everything is suspect after the last change was over and the catalogue read")
	}
	t.Logf("%d answers were sure", sure)
}

func stopped(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestParametersAsk asks for a reading where nothing is known, whoever wants to know it, and says when none is to be waited for.
func TestParametersAsk(t *testing.T) {
	asked := 0
	h := NewHandle(func() { asked++ })
	if _, ok := h.Parameters(); ok || asked != 1 || !h.Coming() {
		t.Errorf("at first: known %v, asked %d times, coming %v", ok, asked, h.Coming())
	}
	h.Fail()
	if _, ok := h.Parameters(); ok || asked != 2 || h.Coming() {
		t.Errorf("after a failure: known %v, asked %d times, coming %v", ok, asked, h.Coming())
	}
	h.Publish(&Facts{}, h.Mark())
	if _, ok := h.Parameters(); !ok || asked != 2 || !h.Coming() {
		t.Errorf("when it is known: known %v, asked %d times, coming %v", ok, asked, h.Coming())
	}
}
