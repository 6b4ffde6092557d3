package effects

import (
	"bytes"

	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// longestBegin bounds a BEGIN that can be deferred.
const longestBegin = 256

// MayBegin says whether a text may be a BEGIN that can be deferred, so that most others need not be looked at.
func MayBegin(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && len(text) <= longestBegin && (text[0]|0x20 == 'b' || text[0]|0x20 == 's')
}

// Begins says whether the text is a BEGIN and nothing else, that no server refuses, and what its CommandComplete says. A standby
// refuses SERIALIZABLE and READ WRITE.
func Begins(t Text) (tag string, ok bool) {
	if t.Facts == nil || t.Facts.Does != sqlparse.Controls || !t.Single || t.Flags&sqltext.FlagBegin == 0 {
		return "", false
	}
	lower := bytes.ToLower(t.SQL)
	switch {
	case bytes.Contains(lower, []byte("serializable")), bytes.Contains(lower, []byte("write")):
		return "", false
	case bytes.Contains(lower, []byte("start")):
		return "START TRANSACTION", true
	}
	return "BEGIN", true
}
