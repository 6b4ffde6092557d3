package sqltext

// A byte's class is a set of these.
const (
	isSpace  uint8 = 1 << iota // white space of scan.l, and \v, which PostgreSQL 16 added
	isLetter                   // begins an identifier: a letter, '_' or not ASCII
	isDigit
	isStop // findEnd must look at it
	isHint // findWords must look at it
	isWord = isLetter | isDigit
)

// class is never written to.
var class = classes()

func classes() (t [256]uint8) {
	set := func(bytes string, bit uint8) {
		for i := range len(bytes) {
			t[bytes[i]] |= bit
		}
	}
	set(" \t\n\r\f\v", isSpace)
	set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", isLetter)
	set("0123456789", isDigit)
	set(`'"$;-/`, isStop)
	set("_ybwpYBWP&", isHint)
	for c := 0x80; c < 0x100; c++ {
		t[c] |= isLetter
	}
	return t
}

func is(c, bits uint8) bool { return class[c]&bits != 0 }

func toLower(c byte) byte {
	if c-'A' < 26 {
		c += 'a' - 'A'
	}
	return c
}

// equalFold reports whether b is lower in any case of ASCII letters. lower is in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if toLower(c) != lower[i] {
			return false
		}
	}
	return true
}

// at reports whether lower stands in text at i, which may be outside it.
func at(text []byte, i int, lower string) bool {
	return i >= 0 && i+len(lower) <= len(text) && equalFold(text[i:i+len(lower)], lower)
}

// findWords searches the bytes of a text for words, wherever they stand: in strings, comments, other words. It looks at
// the rarest byte of each.
func findWords(text []byte) (found Flags) {
	for i, c := range text {
		if !is(c, isHint) {
			continue
		}
		switch toLower(c) {
		case '_':
			switch {
			case at(text, i-3, "set_config"):
				found |= FlagSetConfig
			case at(text, i-2, "pg_settings"):
				found |= flagSettings
			case at(text, i-2, "pg_temp"):
				found |= FlagCreateTemp
			}
		case 'y':
			switch {
			case at(text, i-4, "today"), at(text, i-8, "yesterday"):
				found |= FlagTimeWords
			case at(text, i-7, "advisory"):
				found |= FlagAdvisory
			}
		case 'w':
			if at(text, i-2, "now") || at(text, i-7, "tomorrow") {
				found |= FlagTimeWords
			}
		case 'b':
			if at(text, i-3, "allballs") {
				found |= FlagTimeWords
			}
		case '&':
			switch {
			case at(text, i-1, `u&"`):
				found |= FlagUnfollowable // U&"set\005fconfig"
			case at(text, i-1, "u&'"):
				found |= FlagTimeWords // U&'\006eow'
			}
		case 'p':
			if at(text, i-3, "temp") {
				found |= flagTemp
			}
		}
	}
	return found
}
