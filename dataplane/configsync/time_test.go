package configsync_test

import (
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heliosproxy/heliosproxy/dataplane/configsync"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

var hashes = regexp.MustCompile(`\b[0-9a-f]{64}\b`)

// later lets a bubble's time go on until the proxy has had to come back.
func later(s *stage) {
	s.t.Helper()
	for range 6000 {
		pass(10 * time.Millisecond)
		if s.link().ctx.Err() == nil {
			return
		}
	}
	s.t.Fatal("the proxy has not come back within a minute")
}

// pass lets a bubble's time go on.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// TestWatchdog hears nothing from the control plane: not at first, not after Welcome.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		defer s.stop()
		first := s.link()
		pass(9 * time.Second)
		if first.ctx.Err() != nil {
			t.Fatal("the proxy left before the control plane's time was over")
		}
		pass(2 * time.Second)
		if first.ctx.Err() == nil {
			t.Fatal("the proxy stays with a control plane that does not answer")
		}
		second := s.link()
		s.tell(welcome("s"))
		for range 4 { // the heartbeat is 5 s
			pass(14 * time.Second)
			s.tell(alive())
		}
		if second.ctx.Err() != nil {
			t.Fatal("the proxy left a control plane that is alive")
		}
		pass(14 * time.Second)
		if st, _ := s.client.State(); !st.Connected || time.Since(st.Contact) != 14*time.Second {
			t.Errorf("connected %v, last contact %v ago", st.Connected, time.Since(st.Contact))
		}
		pass(2 * time.Second)
		if st, _ := s.client.State(); second.ctx.Err() == nil || st.Connected {
			t.Error("the proxy stays with a control plane that is silent")
		}
	})
}

// TestHeartbeats says that the proxy is alive, also while it puts a generation in force.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		defer s.stop()
		s.tell(welcome("s"))
		pass(11 * time.Second)
		if got := s.said(); !slices.Equal(got, []string{"heartbeat", "heartbeat"}) {
			t.Errorf("in 11 seconds the proxy said %q", got)
		}
		s.took = time.Minute
		s.tell(whole(1, 5, s.content("a"))...)
		pass(59 * time.Second)
		if got := s.said(); len(got) != 12 || strings.Trim(strings.Join(got, ""), "heartb") != "" {
			t.Errorf("in a minute the proxy said %q", got)
		}
		pass(2 * time.Second)
		if got := s.said(); !slices.Equal(got, []string{"ack 1 5 a []"}) && !slices.Equal(got, []string{"ack 1 5 a []", "heartbeat"}) {
			t.Errorf("after a minute the proxy said %q", got)
		}
		if s.link().ctx.Err() != nil {
			t.Error("the stream has ended")
		}
	})
}

// TestEndsWhileApplying ends the stream, or the client, while a generation is put in force: it gets there,
// and the proxy knows it.
func TestEndsWhileApplying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.tell(welcome("s"))
		s.took = 20 * time.Second
		s.tell(whole(1, 5, s.content("a"))...)
		s.link().end <- io.EOF
		pass(20 * time.Second)
		later(s)
		if got, want := s.said(), `hello "s" 5 "a" CONTROL_PLANE`; len(got) == 0 || got[0] != want {
			t.Errorf("the proxy came back with %q, want %s", got, want)
		}
		s.tell(welcome("s"))
		s.tell(change(1, 6, s.content("a"), s.content("ab"))...)
		s.stop()
		if st, _ := s.client.State(); s.runs() != "ab" || word(st.Content) != "ab" || st.Generation.GetRevision() != 6 {
			t.Errorf("in force is %s, and the proxy says %s", s.runs(), word(st.Content))
		}
	})
}

// TestBackoff counts the tries while no control plane is there: the pauses grow to their most, and begin
// anew once one has answered.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		defer s.stop()
		most := 10 * time.Second
		s.plane.mu.Lock()
		s.down, s.tries = status.Error(codes.Unavailable, "nobody there"), nil
		s.plane.mu.Unlock()
		s.link().end <- io.EOF
		pass(30 * time.Minute)
		s.plane.mu.Lock()
		tries := s.tries
		s.tries, s.down = nil, nil
		s.plane.mu.Unlock()
		ceiling := 100 * time.Millisecond
		distinct := map[time.Duration]bool{}
		for i, at := range tries[1:] {
			pause := at.Sub(tries[i])
			if ceiling = min(2*ceiling, most); pause > 2*ceiling {
				t.Errorf("pause %d is %v, want at most %v", i, pause, ceiling)
			}
			distinct[pause] = true
		}
		// Full jitter: half of the most on average.
		if n := len(tries); n < 250 || n > 600 {
			t.Errorf("%d tries in 30 minutes", n)
		}
		if len(distinct) < len(tries)/2 {
			t.Errorf("only %d different pauses of %d", len(distinct), len(tries))
		}
		later(s)
		s.tell(welcome("s"))
		ended := time.Now()
		s.link().end <- io.EOF
		pass(101 * time.Millisecond)
		if st := s.link(); st.ctx.Err() != nil {
			t.Errorf("the proxy is not back %v after a stream that was answered", time.Since(ended))
		}
	})
}

// TestServersInTurn goes to the next control plane where one does not answer.
func TestServersInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		planes := []*plane{{down: errors.New("a")}, {down: errors.New("b")}, {down: errors.New("c")}}
		s := newStage(t, func(o *configsync.Options) {
			o.Servers = nil
			for _, p := range planes {
				o.Servers = append(o.Servers, configsync.Server{Conn: p})
			}
		})
		defer s.stop()
		pass(10 * time.Minute)
		least, most := 1<<20, 0
		for _, p := range planes {
			p.mu.Lock()
			least, most = min(least, len(p.tries)), max(most, len(p.tries))
			p.mu.Unlock()
		}
		if most-least > 1 || least < 20 {
			t.Errorf("between %d and %d tries with each", least, most)
		}
	})
}

// TestWait waits for contents that come, are refused, and never come.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		defer s.stop()
		s.tell(welcome("s"))
		waits := map[string]chan error{}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		for _, w := range []string{"a", "ax", "nev"} {
			done, hash := make(chan error, 1), s.content(w).Hash()
			waits[w] = done
			go func() { done <- s.client.Wait(ctx, hash, 0) }()
		}
		s.tell(whole(1, 5, s.content("a"))...)
		if err := <-waits["a"]; err != nil {
			t.Error(err)
		}
		s.tell(whole(2, 6, s.content("ax"))...)
		var rejected *configsync.RejectedError
		if err := <-waits["ax"]; !errors.As(err, &rejected) || err.Error() != `warm: PoolProfile "x": does not fit` {
			t.Errorf("the refused content: %v", err)
		}
		if err := <-waits["nev"]; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the content that never came: %v", err)
		}
		// Refused before it was sent again: that refusal is not the answer.
		st, _ := s.client.State()
		again := make(chan error, 1)
		ctx, stop2 := context.WithTimeout(t.Context(), time.Minute)
		defer stop2()
		hash := s.content("ax").Hash()
		go func() { again <- s.client.Wait(ctx, hash, st.Refusals) }()
		if err := <-again; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an old refusal is taken for an answer: %v", err)
		}
	})
}

// TestTurnedAway logs what the control plane says to a proxy that it does not want.
func TestTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		s := newStage(t, func(o *configsync.Options) { o.Log = zap.New(core) })
		defer s.stop()
		s.link().end <- status.Error(codes.Unauthenticated, "no token: --token-file names the file that has it")
		synctest.Wait()
		got := logs.FilterLevelExact(zap.ErrorLevel).All()
		if len(got) != 1 || !strings.Contains(got[0].ContextMap()["error"].(string), "--token-file") {
			t.Errorf("logged %v", got)
		}
	})
}

// TestStandalone counts what comes as a file's.
func TestStandalone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(o *configsync.Options) { o.Source = heliosv1.Source_SOURCE_FILE })
		defer s.stop()
		s.tell(append([]*response{welcome("s")}, whole(1, 5, s.content("a"))...)...)
		if st, _ := s.client.State(); st.Source != heliosv1.Source_SOURCE_FILE {
			t.Errorf("source %v", st.Source)
		}
	})
}
