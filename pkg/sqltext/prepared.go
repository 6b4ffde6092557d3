package sqltext

// Prepared finds the name of a prepared statement in PREPARE and EXECUTE, also where that stands in EXPLAIN or in
// CREATE TABLE AS. The name is as the server spells it; it aliases the statement, or is appended to buf[:0], which needs at
// most 63 bytes. In the statement it stands between start and end. It is false for all other statements, and for names whose
// spelling depends on more than the text, as [ParseSession] has it.
func Prepared(stmt []byte, stdStrings bool, buf []byte) (name []byte, start, end int, ok bool) {
	p := sessionParser{lexer: lexer{text: stmt, std: stdStrings}}
	p.advance()
	if !p.prepared() || !p.isIdentifier() || p.found&FlagUnfollowable != 0 {
		return nil, 0, 0, false
	}
	start, end = p.tok.start, p.tok.end
	return statementName(buf[:0], stmt[start:end]), start, end, true
}

// prepared takes what stands before the name.
func (p *sessionParser) prepared() bool {
	switch {
	case p.accept("prepare"):
		return !p.isWord(p.tok, "transaction") || p.next(p.tok.end).kind != tokString
	case p.accept("execute"):
		return true
	case p.accept("explain"):
		for p.accept("analyze") || p.accept("analyse") || p.accept("verbose") {
		}
		if p.isSymbol(p.tok, '(') {
			p.group()
		}
		return p.accept("execute") || p.accept("create") && p.as()
	case p.accept("create"):
		return p.as()
	}
	return false
}

// as takes everything up to AS EXECUTE.
func (p *sessionParser) as() bool {
	for p.tok.kind != tokEnd {
		if p.isSymbol(p.tok, '(') {
			p.group()
			continue
		}
		if p.accept("as") {
			return p.accept("execute")
		}
		p.advance()
	}
	return false
}

// group takes what stands in parentheses.
func (p *sessionParser) group() {
	for depth := 0; p.tok.kind != tokEnd; {
		switch {
		case p.isSymbol(p.tok, '('):
			depth++
		case p.isSymbol(p.tok, ')'):
			depth--
		}
		if p.advance(); depth == 0 {
			return
		}
	}
}
