package backend

import (
	"fmt"
	"slices"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

var (
	done    = pgscript.CommandComplete("DONE")
	readyI  = pgscript.ReadyForQuery('I')
	readyT  = pgscript.ReadyForQuery('T')
	readyE  = pgscript.ReadyForQuery('E')
	failure = pgscript.ErrorResponse("ERROR", "57014", "canceled")
)

// TestClean brings connections back from what lost clients leave.
func TestClean(t *testing.T) {
	const discard, rollback = "Q DISCARD ALL", "Q ROLLBACK"
	row := pgscript.DataRow("Z\x00\x00\x00\x05I")
	for _, c := range []struct {
		name    string
		status  byte
		mess    Mess
		cancel  bool        // is expected first
		turns   [][2]string // what it sends, and what the server answers
		outcome string
	}{
		{name: "nothing", status: 'I', outcome: "opened"},
		{
			name: "a transaction", status: 'T', outcome: "opened",
			turns: [][2]string{{rollback, string(join(done, readyI))}},
		},
		{
			name: "a failed transaction and settings", status: 'E', mess: Mess{Dirty: true}, outcome: "opened",
			turns: [][2]string{{rollback, string(join(done, readyI))}, {discard, string(join(done, readyI))}},
		},
		{
			name: "settings that cannot be reset", status: 'I', mess: Mess{Dirty: true}, outcome: "closed",
			turns: [][2]string{{discard, string(join(failure, readyI))}, {"X", ""}},
		},
		{
			name: "a statement", status: 'I', mess: Mess{Owed: 1}, cancel: true, outcome: "opened",
			turns: [][2]string{{"", string(join(failure, readyI))}},
		},
		{
			name: "two statements in a transaction, and the tail of a row that looks like an end", status: 'T',
			mess: Mess{Owed: 2, Head: row[:7], Tail: 0}, cancel: true, outcome: "opened",
			turns: [][2]string{{"", string(join(row[7:], done, readyT, failure, readyE))}, {rollback, string(join(done, readyI))}},
		},
		{
			name: "the tail of a row", status: 'I', mess: Mess{Owed: 1, Tail: len(row) - 8}, cancel: true, outcome: "opened",
			turns: [][2]string{{"", string(join(row[8:], done, readyI))}},
		},
		{
			name: "no Sync", status: 'I', mess: Mess{Unsynced: true, Extended: true}, cancel: true, outcome: "opened",
			turns: [][2]string{{"D S the client was lost; S", string(join(failure, readyI))}},
		},
		{
			name: "COPY", status: 'I', mess: Mess{Owed: 1, CopyIn: true}, cancel: true, outcome: "opened",
			turns: [][2]string{{"f client was lost", string(join(failure, readyI))}},
		},
		{
			name: "COPY that begins late", status: 'I', mess: Mess{Owed: 1}, cancel: true, outcome: "opened",
			turns: [][2]string{{"", string(pgscript.CopyInResponse(1))}, {"f client was lost", string(join(failure, readyI))}},
		},
		{
			name: "COPY that begins late, with a Sync ahead", status: 'I', mess: Mess{Owed: 2, Extended: true}, cancel: true, outcome: "opened",
			turns: [][2]string{{"", string(join(pgscript.BindComplete(), pgscript.CopyInResponse(1)))}, {"f client was lost; S", string(join(failure, readyI))}},
		},
		{
			name: "half a message", status: 'I', mess: Mess{Partial: true}, cancel: true, outcome: "closed",
		},
	} {
		for _, piece := range []int{1, 3, 1 << 10} {
			s := newStage(t)
			conn := s.open()
			s.lease(conn, func(*reactor.Task) {})
			what := fmt.Sprintf("%s, in pieces of %d", c.name, piece)
			conn.Status = c.status
			conn.Clean(c.mess)
			s.step()
			if c.cancel {
				s.check(what+": before the cancel is through", s.sent(), "")
				if len(s.dialed) != 2 {
					t.Fatalf("%s: no cancel", what)
				}
				s.check(what+": cancel", string(s.dialed[1].Sent), string(pgscript.CancelRequest(77, []byte("1234"))))
				s.dialed[1].End()
				s.step()
			}
			for _, turn := range c.turns {
				s.check(what, s.lines(), turn[0])
				s.check(what+": too soon", s.news(), "")
				for p := range slices.Chunk([]byte(turn[1]), piece) {
					s.feed(p)
				}
			}
			if c.outcome == "closed" {
				s.check(what+": afterwards", s.sent(), "")
				s.check(what+": before the server has closed it", s.news(), "")
				s.dialed[0].End()
				for _, m := range s.dialed[1:] {
					m.End()
				}
				s.step()
			}
			s.check(what, s.news(), c.outcome)
			if n := s.sent(); n != "" {
				t.Errorf("%s: %q is sent behind all", what, n)
			}
			if c.outcome == "opened" && (conn.Status != 'I' || conn.Tainted || conn.State() != "idle") {
				t.Errorf("%s: status %q, tainted %v, %s", what, conn.Status, conn.Tainted, conn.State())
			}
		}
	}
}

// TestCleanTakesTooLong gives a connection up that does not come back, with another cancel.
func TestCleanTakesTooLong(t *testing.T) {
	s := newStage(t)
	c := s.open()
	s.lease(c, func(*reactor.Task) {})
	c.Clean(Mess{Owed: 1})
	s.step()
	s.dialed[1].End()
	s.step()
	c.SetDeadline(s.loop.Now())
	s.step()
	s.check("state", c.State(), "closing")
	s.check("goodbye", s.lines(), "X")
	s.check("its place", s.news(), "")
	if len(s.dialed) != 3 {
		t.Fatalf("%d connections were dialled: no other cancel", len(s.dialed))
	}
	s.dialed[0].End()
	s.step()
	s.check("when the server has closed it", s.news(), "closed")
}

// TestCancelHolds keeps a connection back that is done while a cancel for it is under way.
func TestCancelHolds(t *testing.T) {
	s := newStage(t)
	c := s.open()
	s.lease(c, func(*reactor.Task) {})
	told := 0
	c.Cancel(func() { told++ })
	c.Cancel(nil)
	s.step()
	if c.Free() || !c.Cancelling() {
		t.Error("it is free before its cancels are through")
	}
	s.dialed[1].End()
	s.step()
	s.check("one of two", s.news(), "")
	s.dialed[2].End()
	s.step()
	s.check("both", s.news(), "opened")
	if told != 1 {
		t.Errorf("who asked was told %d times", told)
	}
	// A cancel that gets no end in time: nobody knows when its signal comes.
	s.lease(c, func(*reactor.Task) {})
	c.Cancel(nil)
	s.step()
	c.Free()
	s.dialed[3].Feed([]byte("?"))
	s.step()
	s.check("still under way", c.State(), "cancelling")
}

// TestWatch reads what servers say to connections that nobody has.
func TestWatch(t *testing.T) {
	for _, c := range []struct {
		name string
		says []byte
		ends bool
		news string
	}{
		{name: "a parameter", says: pgscript.ParameterStatus("TimeZone", "Asia/Tokyo"), news: "changed"},
		{name: "a notice", says: pgscript.NoticeResponse("WARNING", "01000", "x")},
		{name: "half a message", says: pgscript.NoticeResponse("WARNING", "01000", "x")[:7]},
		{name: "an end", ends: true, news: "lost closed"},
		{name: "an error and the end", says: pgscript.ErrorResponse("FATAL", "57P01", "bye"), ends: true, news: "lost closed"},
		{name: "more than any word may have", says: []byte{'N', 0x10, 0, 0, 0}, news: "lost closed"},
		{name: "a length that no message has", says: []byte{'N', 0, 0, 0, 0}, news: "lost closed"},
	} {
		s := newStage(t)
		conn := s.open()
		s.dialed[0].Feed(c.says)
		if c.ends {
			s.dialed[0].End()
		}
		s.step()
		s.check(c.name, s.news(), c.news)
		if got := conn.Param("TimeZone"); (got != "") != (c.news == "changed") {
			t.Errorf("%s: TimeZone is %q", c.name, got)
		}
		if c.name == "half a message" && (conn.Look() || conn.Quiet()) {
			t.Error("a connection within a message is of use")
		}
	}
}
