package wedge

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// working calls moved for as long as a process computes, until ctx ends: on a busy machine a driver may need many seconds to put a
// batch together. A process that is wedged waits, and takes no time of a processor.
func working(ctx context.Context, pid int, moved func(answers int)) {
	const enough = 5 // hundredths of a second, of each second
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for before := spent(pid); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := spent(pid)
		if now-before >= enough {
			moved(0)
		}
		before = now
	}
}

// spent returns what a process has had of processors so far, in hundredths of a second; 0 when it has ended.
func spent(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the program's name is before it
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	var user, system int
	if _, err := fmt.Sscan(f[11]+" "+f[12], &user, &system); err != nil {
		return 0
	}
	return user + system
}
