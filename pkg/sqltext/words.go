package sqltext

// findWords searches the bytes from i to end for words wherever they stand: in strings, comments, other words. It looks at
// a rare byte of each, so a word may reach beyond i or end.
func (l *lexer) findWords(i, end int) {
	span := l.text[:end]
	for i = find(span, i, isHint); i < end; i = find(span, i+1, isHint) {
		l.found |= wordAt(l.text, i)
	}
}

// wordAt returns the flag of the word of which the byte at i, an isHint, is a part.
func wordAt(text []byte, i int) Flags {
	switch toLower(text[i]) {
	case 'g':
		switch {
		case at(text, i-9, "set_config"):
			return FlagSetConfig
		case at(text, i-1, "pg_settings"):
			return flagSettings
		case at(text, i-1, "pg_temp"):
			return FlagCreateTemp
		}
	case 'y':
		switch {
		case at(text, i-4, "today"), at(text, i-8, "yesterday"):
			return FlagTimeWords
		case at(text, i-7, "advisory"):
			return FlagAdvisory
		}
	case 'w':
		if at(text, i-2, "now") || at(text, i-7, "tomorrow") {
			return FlagTimeWords
		}
	case 'b':
		if at(text, i-3, "allballs") {
			return FlagTimeWords
		}
	case 'p':
		if at(text, i-3, "temp") {
			return flagTemp
		}
	case '&':
		switch {
		case at(text, i-1, `u&"`):
			return flagHidden // U&"set\005fconfig"
		case at(text, i-1, "u&'"):
			return FlagTimeWords // U&'\006eow'
		}
	}
	return 0
}
