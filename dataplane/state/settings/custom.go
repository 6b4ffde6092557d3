package settings

// CustomNames yields the names in a text that may be those of custom parameters: app.user. Where a name stands does not
// matter: in code, in a literal, in a value.
func CustomNames(text []byte, yield func(name []byte)) {
	for i := 0; i < len(text); {
		if !isNameStart(text[i]) || i > 0 && (isNamePart(text[i-1]) || text[i-1] == '.') {
			i++
			continue
		}
		end, dots := i, 0
		for end < len(text) && (isNamePart(text[end]) || text[end] == '.' && end+1 < len(text) && isNameStart(text[end+1])) {
			if text[end] == '.' {
				dots++
			}
			end++
		}
		if dots > 0 && end-i < 128 {
			yield(text[i:end])
		}
		i = end
	}
}

func isNameStart(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

func isNamePart(c byte) bool { return isNameStart(c) || c == '$' || c >= '0' && c <= '9' }
