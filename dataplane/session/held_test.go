package session

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestDiscardAll forgets the statements that DISCARD ALL takes away, and not those behind it in the unit.
func TestDiscardAll(t *testing.T) {
	r := newRig()
	r.client(t, pgscript.Parse("old", "SELECT 1"), sync0)
	r.server(t, done1, readyI)
	r.client(t, pgscript.Parse("", "DISCARD ALL"), pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.Parse("new", "SELECT 2"), sync0)
	r.server(t, done1, done2, pgscript.CommandComplete("DISCARD ALL"))
	if r.names.All["old"] != nil || r.names.All["new"] == nil {
		t.Errorf("left are %v", r.names.All)
	}
	r.server(t, done1, readyI)
	r.client(t, pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.Bind("", "nope"), pgscript.CloseStatement("new"), sync0)
	r.server(t, done2, pgscript.CommandComplete("DISCARD ALL"), oops, readyI)
	if len(r.names.All) > 0 {
		t.Errorf("a Close that is skipped brings back %v", r.names.All)
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
