//go:build !race

// With the race detector a proxy takes too long to start; the take-overs of dataplane/assembly run under it.

package exact

import (
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
)

// TestMoved is a part of TestExact in which one proxy takes the place of another all the time: each session moves with what it has, in
// pool mode session with its server connection, whenever it rests.
func TestMoved(t *testing.T) {
	if *secured {
		t.Skip("over TLS nobody moves")
	}
	st := newStage(t, *parallel, false)
	stop, err := st.moving(t, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	read := parts(t)
	st.run(t, "scripts on the move", len(read), chosen(read))
	st.run(t, "generated sequences on the move", movedCount, generated(*first, movedCount))
	moves := stop()
	t.Logf("%d times a proxy has taken the place of another", moves)
	if moves < 10 && *only == "" {
		t.Error("nobody has moved")
	}
}

// movedCount is how many generated sequences a part is, and movedPart of how many scripts one is played.
const movedCount, movedPart = 60, 4

// parts are the scripts of a part of TestExact, and those that take their time, so that somebody moves in them for certain.
func parts(t *testing.T) []Sequence {
	t.Helper()
	part, err := ReadScripts(slow)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range scripts(t) {
		if *all || *only != "" || i%movedPart == 0 {
			part = append(part, s)
		}
	}
	return part
}

const slow = `
--- moved: a literal that was a moment when it was parsed
P m ` + "`SELECT now() - 'now'::timestamptz > interval '0.1 s'`" + `  S
Q ` + sleep + `
B - m  E -  S
--- moved: what was told of a result that has changed
Q ` + "`CREATE TABLE made (a int)`" + `
P s ` + "`SELECT * FROM made`" + `  DS s  S
Q ` + sleep + `
Q ` + "`ALTER TABLE made ADD b int`" + `
B - s  E -  S
--- moved: a result that has changed, of which nothing was told
Q ` + "`CREATE TABLE made (a int)`" + `
P s ` + "`SELECT * FROM made`" + `  S
Q ` + sleep + `
Q ` + "`ALTER TABLE made ADD b int`" + `
B - s  E -  S
--- moved: statements that stand in place of others
P a ` + "`SELECT 1`" + `  P d ` + "`DEALLOCATE ALL`" + `  P r ` + "`RESET TimeZone`" + `  S
Q ` + "`SET TimeZone TO 'Asia/Kathmandu'`" + `
Q ` + sleep + `
B - r  E -  S
Q ` + "`SHOW TimeZone`" + `
B - d  E -  S
B - a  E -  S
--- moved: the unnamed statement
P z ` + sleep + `  P - ` + "`SELECT $1 || current_setting('TimeZone')`" + `  S
B q z  E q  S
B - - (at)  DP -  E -  S
--- moved: what a session has on its server connection alone
Q ` + "`PREPARE own AS SELECT 'own'`" + `
Q ` + "`CREATE TEMP TABLE mine AS SELECT 'mine' AS a`" + `
Q ` + "`BEGIN; DECLARE cur CURSOR WITH HOLD FOR SELECT 'cur'; COMMIT`" + `
Q ` + "`SET search_path TO other`" + `
Q ` + sleep + `
Q ` + "`EXECUTE own`" + `
Q ` + "`SELECT a FROM mine`" + `
Q ` + "`FETCH cur`" + `
Q ` + "`SELECT a FROM t`" + `
Q ` + "`DEALLOCATE own`" + `
Q ` + "`DROP TABLE mine`" + `
Q ` + "`CLOSE cur`" + `
Q ` + sleep + `
Q ` + "`SELECT a FROM t`" + `
`

const sleep = "`SELECT pg_sleep(0.3)`"

// pause is how long a proxy stays before another one takes its place.
const pause = 50 * time.Millisecond

// moving is begin for a proxy that is replaced until stop is called, which says how often it was.
func (st *stage) moving(t *testing.T, wait time.Duration) (stop func() (moves int), err error) {
	t.Helper()
	dir := t.TempDir()
	gone := make(chan struct{}, 1)
	next := func(takeover bool) (*assembly.Proxy, error) {
		return newProxy(st.set, func(o *assembly.Options) {
			o.StateDir, o.Takeover = dir, takeover
			o.TakeoverWindow = func() time.Duration { return time.Hour }
			o.HandedOver = func() { gone <- struct{}{} }
		})
	}
	now, err := next(false)
	if err != nil {
		return nil, err
	}
	ending, ended := make(chan struct{}), make(chan int)
	go func() {
		moves := 0
		defer func() {
			now.Close()
			ended <- moves
		}()
		for {
			select {
			case <-ending:
				return
			case <-time.After(pause):
			}
			p, err := next(true)
			for end := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(end); p, err = next(true) { // it still takes a place itself
				<-time.After(time.Millisecond)
			}
			if err != nil {
				t.Errorf("the proxy is not replaced: %v", err)
				<-ending
				return
			}
			select {
			case <-gone:
			case <-ending: // it may have sessions still
			}
			now.Close()
			now = p
			moves++
		}
	}()
	stop = func() int {
		for _, h := range st.harnesses {
			h.Close()
		}
		close(ending)
		return <-ended
	}
	if err := st.meet(t, now.Addresses()["main"], wait); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}
