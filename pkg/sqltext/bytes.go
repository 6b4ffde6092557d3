package sqltext

// A byte's class is a set of these.
const (
	isSpace  uint8 = 1 << iota // white space of scan.l, and \v, which PostgreSQL 16 added
	isLetter                   // begins an identifier: a letter, '_' or not ASCII
	isDigit
	isStop // findEnd must look at it
	isHint // findWord must look at it
	isDollar
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
	set("gybwpGYBWP&", isHint)
	set("$", isDollar)
	for c := 0x80; c < 0x100; c++ {
		t[c] |= isLetter
	}
	return t
}

func is(c, bits uint8) bool { return class[c]&bits != 0 }

// find returns the offset of the first byte at or behind i whose class has bit, or the length of the text.
func find(text []byte, i int, bit uint8) int {
	for len(text)-i >= 4 {
		four := text[i : i+4 : i+4]
		if (class[four[0]]|class[four[1]]|class[four[2]]|class[four[3]])&bit != 0 {
			break
		}
		i += 4
	}
	for i < len(text) && class[text[i]]&bit == 0 {
		i++
	}
	return i
}

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
