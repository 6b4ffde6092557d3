package console

import (
	"strings"
	"testing"
)

func TestConfirmed(t *testing.T) {
	for in, want := range map[string]bool{"y\n": true, " YES \n": true, "yes": true, "\n": false, "": false, "no\n": false, "n\ny\n": false} {
		var out strings.Builder
		if got := confirmed(strings.NewReader(in), &out, "End it?"); got != want || out.String() != "End it? [y/N] " {
			t.Errorf("%q: %v after %q", in, got, out.String())
		}
	}
}
