package sqlparse

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// The bounds of what is parsed. The grammar's code recurses on the stack of a thread, as deep as expressions are nested, and to
// overflow it would end the process.
const (
	// MaxText is the length of the longest text that is parsed, in bytes.
	MaxText = 64 << 10
	// MaxDepth is how deep it may be nested, as [sqltext.Depth] has it: 2 MiB of stack, the least that glibc gives a thread, are not half
	// used then.
	MaxDepth = 1000
)

// ErrTooBig is returned for a text that is longer than [MaxText] or nested deeper than [MaxDepth].
var ErrTooBig = errors.New("the text is too long or too deeply nested to be parsed")

// errBytes is returned for bytes of which the grammar's code would see only a part.
var errBytes = errors.New("the text is not valid UTF-8, or has a zero byte")

// Parse returns the facts of a text, which is read with standard_conforming_strings on. It takes 10 µs and up to a
// microsecond a byte. An error means that they are not known: PostgreSQL 17 would not parse the text, or it is too big, or not UTF-8.
func Parse(text string) (facts *Facts, err error) {
	switch {
	case len(text) > MaxText || sqltext.Depth([]byte(text)) > MaxDepth:
		return nil, ErrTooBig
	case !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0:
		return nil, errBytes
	}
	defer func() {
		if p := recover(); p != nil { // a client's text must not end the process
			facts, err = nil, fmt.Errorf("parse: %v", p)
		}
	}()
	tree, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	w := walker{facts: &Facts{Analyzed: strings.IndexByte(text, '\\') >= 0}} // the strings of a text with backslashes depend on what is set
	for _, s := range tree.GetStmts() {
		w.facts.Analyzed = w.facts.Analyzed || analyzed(s.GetStmt())
		w.walk(s.ProtoReflect(), Reads)
	}
	if w.temporary && w.facts.Does&Changes != 0 {
		w.facts.Does |= MakesTemp
	}
	return w.facts, nil
}
