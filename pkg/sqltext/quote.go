package sqltext

// QuoteLiteral appends s as a string literal that means s whatever standard_conforming_strings is, like quote_literal.
// s holds no zero byte.
func QuoteLiteral(dst []byte, s string) []byte {
	mark := len(dst)
	dst = append(dst, '\'')
	escaped := false
	for i := range len(s) {
		if s[i] == '\'' || s[i] == '\\' {
			dst = append(dst, s[i])
			escaped = escaped || s[i] == '\\'
		}
		dst = append(dst, s[i])
	}
	dst = append(dst, '\'')
	if escaped {
		dst = append(dst, 0)
		copy(dst[mark+1:], dst[mark:])
		dst[mark] = 'E'
	}
	return dst
}

// QuoteIdent appends s as an identifier. It always has quotes, where quote_ident leaves them off if s is no keyword.
// s holds no zero byte and is not empty.
func QuoteIdent(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}
