package pgmd5

import (
	"strings"
	"testing"
)

// stored is of user postgres with password secret, as md5sum gives it.
const stored = "md553f48b7c4b76a86ce72276c5755f217d"

// TestScheme compares both steps of the scheme with what md5sum makes of the same bytes.
func TestScheme(t *testing.T) {
	if got := Hash("secret", "postgres"); got != stored {
		t.Errorf("stored form is %q, want %q", got, stored)
	}
	if got, want := Salted(stored, []byte{1, 2, 3, 4}), "md5bb41a296aab6baccb36ff243a562abff"; got != want {
		t.Errorf("answer is %q, want %q", got, want)
	}
}

// TestIsHash tells stored forms from passwords that look like one.
func TestIsHash(t *testing.T) {
	for s, want := range map[string]bool{
		stored: true, stored[:34]: false, stored + "0": false, strings.ToUpper(stored): false,
		"md5" + strings.Repeat("g", 32): false, "": false, "md5": false,
	} {
		if got := IsHash(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}
