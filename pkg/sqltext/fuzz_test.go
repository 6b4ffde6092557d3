package sqltext

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// tokenSplit is the split that findEnd must agree with: it makes a token of everything, from left to right, as scan.l does.
func tokenSplit(text []byte, stdStrings bool) (starts, ends []int, followable bool) {
	l := lexer{text: text, std: stdStrings}
	for t := l.next(0); t.kind != tokEnd; {
		if l.isSymbol(t, ';') {
			t = l.next(t.end)
			continue
		}
		starts = append(starts, t.start)
		if l.isWord(t, "create") {
			semicolon, end := l.findCreateEnd(t.start)
			ends = append(ends, end)
			t = l.next(semicolon)
			continue
		}
		end := 0
		for ; t.kind != tokEnd && !l.isSymbol(t, ';'); t = l.next(t.end) {
			end = t.end
		}
		ends = append(ends, end)
	}
	return starts, ends, l.found&FlagUnfollowable == 0
}

// faultOf states what must hold of any text. next is the Scanner's, or a wrong one that must be found.
func faultOf(text []byte, stdStrings bool, next func(*Scanner) (Statement, bool)) string {
	starts, ends, followable := tokenSplit(text, stdStrings)
	var s Scanner
	s.Reset(text, stdStrings)
	n, last, first := 0, 0, VerbNone
	for {
		st, ok := next(&s)
		if !ok {
			break
		}
		switch {
		case st.Start < last || st.End <= st.Start || st.End > len(text):
			return fmt.Sprintf("span %d is %d to %d, after %d", n, st.Start, st.End, last)
		case st.Verb == VerbNone:
			return "a statement without a verb"
		case followable && s.Followable() && (n >= len(starts) || st.Start != starts[n] || st.End != ends[n]):
			return fmt.Sprintf("span %d is %d to %d, tokens say %d, %d", n, st.Start, st.End, starts, ends)
		}
		if n++; n == 1 {
			first = st.Verb
		}
		last = st.End
		if !s.Followable() {
			continue
		}
		part := text[st.Start:st.End]
		var again Scanner
		again.Reset(part, stdStrings)
		if whole, ok := next(&again); !ok || whole.Start != 0 || whole.End != len(part) || whole.Verb != st.Verb {
			return fmt.Sprintf("%q alone is %+v", part, whole)
		}
		if fault := sessionFault(part, stdStrings); fault != "" {
			return fmt.Sprintf("%q: %s", part, fault)
		}
	}
	switch sum := Classify(text, stdStrings); {
	case followable != s.Followable():
		return fmt.Sprintf("followable is %t, tokens say %t", s.Followable(), followable)
	case followable && n != len(starts):
		return fmt.Sprintf("%d statements, tokens say %d", n, len(starts))
	case sum.Statements != n || sum.First != first:
		return fmt.Sprintf("Classify says %+v, Scanner %d, %d", sum, n, first)
	case !s.Followable() && sum.Flags&FlagUnfollowable == 0:
		return "Classify follows what Scanner does not"
	default:
		return wordFault(text, sum.Flags)
	}
}

// wordFault compares the flags of words with a search for each.
func wordFault(text []byte, flags Flags) string {
	lower := string(bytes.Map(func(r rune) rune {
		if r < 0x80 {
			return rune(toLower(byte(r)))
		}
		return r
	}, text))
	for word, flag := range map[string]Flags{
		"set_config": FlagSetConfig, "advisory": FlagAdvisory, "pg_temp": FlagCreateTemp, "now": FlagTimeWords, "today": FlagTimeWords,
		"tomorrow": FlagTimeWords, "yesterday": FlagTimeWords, "allballs": FlagTimeWords, "u&'": FlagTimeWords, `u&"`: FlagUnfollowable,
	} {
		if strings.Contains(lower, word) && flags&flag == 0 {
			return fmt.Sprintf("%q is not found", word)
		}
	}
	if flags&FlagAdvisory != 0 && !strings.Contains(lower, "advisory") {
		return "a word is found that is not there"
	}
	return ""
}

// sessionFault states what must hold of what ParseSession tells.
func sessionFault(stmt []byte, stdStrings bool) string {
	p, ok := ParseSession(stmt, stdStrings, nil)
	switch {
	case !ok && p.Kind != 0:
		return "not a session's statement, and yet of a kind"
	case !ok:
		return ""
	case p.NameStart > p.NameEnd || p.ValueStart > p.ValueEnd || p.NameEnd > len(stmt) || p.ValueEnd > len(stmt),
		p.ValueEnd > 0 && p.ValueStart < p.NameEnd:
		return fmt.Sprintf("spans are %+v", p)
	case (p.NameEnd > 0) != (len(p.Name) > 0):
		return fmt.Sprintf("name is %q at %d to %d", p.Name, p.NameStart, p.NameEnd)
	case len(p.Name) > maxName:
		return "name is too long"
	case p.ToDefault && p.ValueEnd > 0, p.FromCurrent && p.ValueEnd > 0:
		return "a value where none is"
	}
	if p.Kind != SetParam && p.Kind != SetSeed || p.ValueEnd == 0 {
		return ""
	}
	// The name and value, written again, say the same.
	text := fmt.Appendf(nil, "set %s = %s", QuoteIdent(nil, string(p.Name)), stmt[p.ValueStart:p.ValueEnd])
	again, ok := ParseSession(text, stdStrings, nil)
	if !ok || string(again.Name) != string(p.Name) || string(text[again.ValueStart:again.ValueEnd]) != string(stmt[p.ValueStart:p.ValueEnd]) {
		return fmt.Sprintf("written again as %q it reads %+v, %t", text, again, ok)
	}
	return ""
}

func FuzzScanner(f *testing.F) {
	for _, tt := range splits {
		f.Add([]byte(tt.text), !tt.off)
	}
	for _, tt := range sessions {
		f.Add([]byte(tt.text), true)
	}
	f.Add([]byte(`/* Set_Config */ select 'NOW' /* advisory */ as "today", $$ pg_temp $$, 'tomorrow' -- yesterday
; create rule r as on insert to t do (select 'allballs'; select U&"a", u&'b')`), true)
	f.Fuzz(func(t *testing.T, text []byte, stdStrings bool) {
		if fault := faultOf(text, stdStrings, (*Scanner).Next); fault != "" {
			t.Errorf("%q: %s", text, fault)
		}
	})
}

// TestPlantedFaults shows that the invariants find a scanner that is wrong.
func TestPlantedFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		next func(*Scanner) (Statement, bool)
	}{
		"ends at every semicolon": {"select ';'", func(s *Scanner) (Statement, bool) {
			i := s.pos
			for i < len(s.lex.text) && s.lex.text[i] != ';' {
				i++
			}
			st := Statement{s.pos, i, VerbOther}
			s.pos = i + 1
			return st, st.Start < len(s.lex.text)
		}},
		"knows no E strings": {`select E'\';'; select 1`, func(s *Scanner) (Statement, bool) {
			text := append([]byte(nil), s.lex.text...)
			for i, c := range text {
				if c == 'E' {
					text[i] = ' '
				}
			}
			wrong := Scanner{lex: lexer{text: text, std: true}, pos: s.pos}
			st, ok := wrong.Next()
			s.pos = wrong.pos
			return st, ok
		}},
		"does not trim": {"select 1 -- x\n;", func(s *Scanner) (Statement, bool) {
			st, ok := s.Next()
			if ok {
				st.End = s.pos - 1
			}
			return st, ok
		}},
		"stops early": {"select 1; select 2", func(s *Scanner) (Statement, bool) {
			if s.pos > 0 {
				return Statement{}, false
			}
			return s.Next()
		}},
	} {
		if faultOf([]byte(tt.text), true, (*Scanner).Next) != "" {
			t.Errorf("%s: the right scanner is at fault", name)
		}
		if faultOf([]byte(tt.text), true, tt.next) == "" {
			t.Errorf("%s: not found", name)
		}
	}
	if wordFault([]byte("select 'NOW'"), 0) == "" {
		t.Error("a search that skips strings is not found")
	}
}
