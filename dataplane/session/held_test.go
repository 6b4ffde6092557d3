package session

import (
	"bytes"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestDiscardAll forgets the statements that DISCARD ALL takes away, and not those behind it in the unit.
func TestDiscardAll(t *testing.T) {
	r := newRig()
	r.client(t, pgscript.Parse("old", "SELECT 1"), sync0)
	r.server(t, done1, readyI)
	r.client(t, pgscript.Parse("", "DISCARD ALL"), pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.Parse("new", "SELECT 2"), sync0)
	r.server(t, done1, done2, pgscript.CommandComplete("DISCARD ALL"))
	if r.Names.All["old"] != nil || r.Names.All["new"] == nil {
		t.Errorf("left are %v", r.Names.All)
	}
	r.server(t, done1, readyI)
	r.client(t, pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.Bind("", "nope"), pgscript.CloseStatement("new"), sync0)
	r.server(t, done2, pgscript.CommandComplete("DISCARD ALL"), oops, readyI)
	if len(r.Names.All) > 0 {
		t.Errorf("a Close that is skipped brings back %v", r.Names.All)
	}
}

// TestHeld keeps back what names a statement until it is known which one that is.
func TestHeld(t *testing.T) {
	parse, bind := pgscript.Parse, pgscript.Bind
	tests := []struct {
		name    string
		sends   [][]byte
		goes    string // at once
		answer  [][]byte
		then    string // once the answer is there
		settled [][]byte
	}{
		{
			"a Parse that fails, and the name again",
			[][]byte{parse("a", "SELEC"), sync0, parse("a", "SELECT 1"), sync0},
			`P h_1 "SELEC"; S`,
			[][]byte{oops, readyI},
			`P h_2 "SELECT 1"; S`,
			[][]byte{done1, readyI},
		},
		{
			"a Parse that fails, and its use",
			[][]byte{parse("a", "SELEC"), sync0, bind("", "a"), sync0},
			`P h_1 "SELEC"; S`,
			[][]byte{oops, readyI},
			"B  a; S",
			[][]byte{oops, readyI},
		},
		{
			"a Parse that succeeds, and its use",
			[][]byte{parse("a", "SELECT 1"), sync0, bind("", "a"), sync0},
			`P h_1 "SELECT 1"; S`,
			[][]byte{done1, readyI},
			"B  h_1; S",
			[][]byte{done2, readyI},
		},
		{
			"within one unit nothing is kept back",
			[][]byte{parse("a", "SELECT 1"), bind("", "a"), sync0},
			`P h_1 "SELECT 1"; B  h_1; S`,
			[][]byte{done1, done2, readyI},
			"",
			nil,
		},
	}
	for _, tt := range tests {
		r := newRig()
		if got := r.client(t, tt.sends...); got != tt.goes {
			t.Errorf("%s: sent %s, want %s", tt.name, got, tt.goes)
		}
		r.server(t, tt.answer...)
		then := ""
		if r.Resume() {
			then = r.client(t)
		}
		if then != tt.then {
			t.Errorf("%s: then sent %s, want %s", tt.name, then, tt.then)
		}
		if r.server(t, tt.settled...); !r.Quiet() || !r.Room() || r.Resume() {
			t.Errorf("%s: something is left under way", tt.name)
		}
	}
}

// TestHeldInDoubt keeps back what names a statement behind a COPY that has failed until it is known which of the Syncs count, and
// asks, however the server's answers come in pieces.
func TestHeldInDoubt(t *testing.T) {
	const probe = "S; C S h_none; H"
	parse, again := pgscript.Parse("a", "SELECT 1"), pgscript.Query("DEALLOCATE a")
	notice := pgscript.NoticeResponse("NOTICE", "00000", "x")
	for name, c := range map[string]struct {
		behind [][]byte // the row and the first Sync, ahead of what is kept back
		answer [][]byte // behind the error
		goes   string   // to the client
		asked  [][]byte // what is answered when the server is asked, if it is
		told   string
		then   string
	}{
		"both count":           {[][]byte{pgscript.CopyDone(), sync0, parse, sync0}, [][]byte{readyI, readyI, done1, readyI}, "Z I; Z I; 1; Z I", nil, "", "B  h_2; E  0; S"},
		"the second counts":    {[][]byte{pgscript.CopyDone(), sync0, parse, sync0}, [][]byte{readyI, done1, readyI}, "Z I; 1; Z I", nil, "", "B  h_2; E  0; S"},
		"a notice comes first": {[][]byte{pgscript.CopyDone(), sync0, parse, sync0}, [][]byte{readyI, notice, done1, readyI}, "Z I; N 00000 x; 1; Z I", nil, "", "B  h_2; E  0; S"},
		"it is not seen":       {[][]byte{pgscript.CopyDone(), sync0, parse, sync0}, [][]byte{readyI}, "Z I", [][]byte{done1, readyI, readyI, closed}, "1; Z I", "B  h_2; E  0; S"},
		"nothing has come":     {[][]byte{pgscript.CopyDone(), sync0, parse, sync0}, nil, "", [][]byte{readyI, done1, readyI, readyI, closed}, "Z I; 1; Z I", "B  h_2; E  0; S"},
		"a Parse is skipped":   {[][]byte{pgscript.CopyFail("no"), parse, sync0}, [][]byte{readyI}, "Z I", [][]byte{readyI, closed}, "", "B  a; E  0; S"},
		"a Query is not":       {[][]byte{pgscript.CopyFail("no"), again}, [][]byte{readyI}, "Z I", [][]byte{one, readyI, readyI, closed}, "C DEALLOCATE; Z I", "B  a; E  0; S"},
		"a Query is skipped":   {[][]byte{pgscript.CopyFail("no"), again}, nil, "", [][]byte{readyI, closed}, "", "S"},
	} {
		r := newRig()
		if bytes.Equal(c.behind[1], again) {
			r.client(t, parse, sync0)
			r.server(t, done1, readyI)
		}
		r.client(t, bytes.Join([][]byte{pgscript.Parse("", "COPY t FROM STDIN"), pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.CopyData("row"), sync0}, nil),
			bytes.Join(c.behind, nil), pgscript.Bind("", "a"), pgscript.Execute("", 0), sync0)
		if r.Room() {
			t.Fatalf("%s: nothing is kept back", name)
		}
		answer := append([][]byte{done1, done2, pgscript.CopyInResponse(1), oops}, c.answer...)
		check2(t, name, r.server(t, answer...), strings.TrimSuffix("1; 2; G 1; E 42601 oops; "+c.goes, "; "))
		if !r.Resume() {
			t.Errorf("%s: nothing goes on", name)
			continue
		}
		if c.asked != nil {
			check2(t, name+": asked", r.client(t), probe)
			if r.Resume() {
				t.Errorf("%s: it goes on before the answer", name)
			}
			check2(t, name+": told", r.server(t, c.asked...), c.told)
			if !r.Resume() {
				t.Errorf("%s: nothing goes on behind the answer", name)
			}
		}
		check2(t, name+": goes on", r.client(t), c.then)
	}
}

// TestDoubtBehindDoubt has a COPY fail while the server is still asked which Syncs it has ignored of one before: the answer is about both.
func TestDoubtBehindDoubt(t *testing.T) {
	r := newRig()
	r.client(t, pgscript.Parse("a", "SELECT 1"), sync0)
	r.server(t, done1, readyI)
	r.srv.Held = statement.NewHeld(3, 1<<20) // another server connection, which has to parse it
	begins := [][]byte{pgscript.Query("COPY t FROM STDIN"), pgscript.CopyData("row"), sync0}
	r.client(t, append(begins, pgscript.CopyFail("no more"), pgscript.Bind("q", "a", "x"), pgscript.Execute("q", 0))...)
	check2(t, "the first", r.server(t, pgscript.CopyInResponse(1), oops, readyI), "G 1; E 42601 oops; Z I")
	r.client(t, append([][]byte{sync0}, append(begins, pgscript.CopyDone(), pgscript.CloseStatement("a"), sync0)...)...)
	if r.Room() || !r.Resume() {
		t.Fatal("nothing is kept back, or nothing is asked")
	}
	check2(t, "asked", r.client(t), "S; C S h_none; H")
	check2(t, "the second", r.server(t, done1, oops, readyI, pgscript.CopyInResponse(1), oops), "E 42601 oops; Z I; G 1; E 42601 oops")
	check2(t, "told", r.server(t, readyI, readyI, closed), "Z I")
	if !r.Resume() {
		t.Fatal("nothing goes on")
	}
	check2(t, "goes on", r.client(t), "C S a; S")
	check2(t, "closed", r.server(t, closed, readyI), "3; Z I")
	if !r.Quiet() {
		t.Error("something is left under way")
	}
}

// TestStaleQuestion closes what the proxy has asked with, where the server has skipped the end of that, before it asks again.
func TestStaleQuestion(t *testing.T) {
	r := newRig()
	r.client(t, pgscript.Query("SET TimeZone = 'UTC'"))
	r.server(t, pgscript.CommandComplete("SET"), readyI)
	asks := func() string { return r.client(t, pgscript.Parse("", "SELECT date '2020-02-01'"), sync0) }
	first := asks()
	if strings.Contains(first, "C S h_under; P h_under") || !strings.HasPrefix(first, `P  "SELECT date '2020-02-01'"; P h_under`) {
		t.Fatalf("it is not asked behind the Parse: %s", first)
	}
	check2(t, "its answer", r.server(t, done1, done1, done2, oops, readyI), "1; E 42601 oops; Z I")
	if again := asks(); !strings.HasPrefix(again, `P  "SELECT date '2020-02-01'"; C S h_under; `) {
		t.Errorf("what is left there is not closed: %s", again)
	}
}
