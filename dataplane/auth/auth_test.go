package auth

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestDoor lets in, without a proof, whom the configuration lets in.
func TestDoor(t *testing.T) {
	for _, c := range []struct {
		m     Method
		local bool
		want  string
	}{
		{LocalOnly, true, ""}, {LocalOnly, false, "28000"}, {Trust, false, ""}, {Trust, true, ""},
	} {
		_, step := Begin(c.m, "ann", nil, c.local, "s")
		got := ""
		if step.Err != nil {
			got = step.Err.SQLState
		}
		if got != c.want || step.Done != (c.want == "") {
			t.Errorf("method %d, local %v: %q, done %v", c.m, c.local, got, step.Done)
		}
	}
}

// TestNothingIsLearnt asks unknown users for the same proof as known ones, with a salt that stays.
func TestNothingIsLearnt(t *testing.T) {
	u, err := NewUser("ann", "secret")
	if err != nil {
		t.Fatal(err)
	}
	var salts []string
	for _, nonce := range []string{"abc", "xyz"} {
		first := pgscript.SASLInitial("SCRAM-SHA-256", "n,,n=,r="+nonce)[5:]
		_, known := Begin(SCRAM, "ann", u, true, "mock")
		x, unknown := Begin(SCRAM, "eve", nil, true, "mock")
		if string(known.Reply) != string(unknown.Reply) {
			t.Errorf("%q for a user, %q for nobody", known.Reply, unknown.Reply)
		}
		step := x.Step(first)
		if step.Err != nil || len(step.Reply) < 40 {
			t.Fatalf("nobody gets no challenge: %+v", step)
		}
		salts = append(salts, string(step.Reply[len(step.Reply)-32:]))
	}
	if salts[0] != salts[1] {
		t.Errorf("the salt of nobody changes: %q, %q", salts[0], salts[1])
	}
}
