package later

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// client is one whose moments are written down.
type client struct {
	now      moment
	canceled int
}

// moment is what the client does at a look: ' ' nothing, 'u' its connection is made ready, 'w' it waits for one, a digit the number of the
// statement that runs.
type moment byte

func (c *client) Loop() *reactor.Loop { return nil }

func (c *client) Unready() bool { return c.now == 'u' }

func (c *client) Began() (int64, bool) { return int64(c.now), c.now >= '0' && c.now <= '9' }

func (c *client) CancelNow(done func()) {
	c.canceled++
	done()
}

// TestCancel cancels the statement that it was meant for, once it runs and was read, once more if it still runs, and no other.
func TestCancel(t *testing.T) {
	long := "111111111111111111111111111111111111"
	for _, c := range []struct {
		name, moments string
		at            []int // the looks at which it cancels
		looks         int   // until it is over
	}{
		{"it ends by the first", "uuu11 ", []int{5}, 6},
		{"it has ended before", "uu ", []int{3}, 3},
		{"it waits", "uuw", []int{3}, 3},
		{"it needs two", "u" + long, []int{3, 1 + again}, 1 + again},
		{"another one follows", "u1122", []int{3}, 4},
		{"another one is made ready for", "u11u22222", []int{3}, 4},
		{"it is made ready twice", "u1u11 ", []int{5}, 6},
	} {
		x := &client{}
		told := 0
		k := &cancel{of: x, done: func() { told++ }}
		var at []int
		looks := 0
		for _, m := range []byte(c.moments) {
			x.now = moment(m)
			before := x.canceled
			over := k.look()
			if looks++; x.canceled > before {
				at = append(at, looks)
			}
			if over {
				break
			}
		}
		if len(at) != len(c.at) || at[0] != c.at[0] || at[len(at)-1] != c.at[len(at)-1] || looks != c.looks || told != 1 {
			t.Errorf("%s: cancelled at %v, want %v, over after %d, want %d, told %d times", c.name, at, c.at, looks, c.looks, told)
		}
	}
	x := &client{now: 'u'}
	k := &cancel{of: x, done: func() {}}
	looks := 1
	for ; !k.look(); looks++ {
	}
	if looks != patience || x.canceled != 1 {
		t.Errorf("a connection that does not get ready: cancelled %d times after %d looks", x.canceled, looks)
	}
}
