package sqltext

// Action is what a statement does to the channels that a session listens to.
type Action uint8

// The actions that [ParseChannel] reads.
const (
	Listen      Action = iota + 1 // LISTEN name
	Unlisten                      // UNLISTEN name
	UnlistenAll                   // UNLISTEN *
)

// ParseChannel reads LISTEN and UNLISTEN from one statement, as [Scanner] gives them. It is false for all others, for what
// PostgreSQL would refuse as far as that is seen here, and for names whose spelling depends on more than the text.
//
// A name that must be spelled differently than in stmt is appended to buf[:0], which needs at most 63 bytes; otherwise it
// aliases stmt.
func ParseChannel(stmt []byte, stdStrings bool, buf []byte) (a Action, name []byte, ok bool) {
	p := sessionParser{lexer: lexer{text: stmt, std: stdStrings}}
	p.advance()
	switch {
	case p.accept("listen"):
		a = Listen
	case p.accept("unlisten"):
		a = Unlisten
		if p.isSymbol(p.tok, '*') {
			p.advance()
			return UnlistenAll, nil, p.tok.kind == tokEnd && p.found&FlagUnfollowable == 0
		}
	default:
		return 0, nil, false
	}
	name, ok = p.last(buf)
	return a, name, ok
}

// Control is what a statement does to the savepoints of a transaction.
type Control uint8

// The controls that [ParseSavepoint] reads.
const (
	Savepoint  Control = iota + 1 // SAVEPOINT name
	Release                       // RELEASE name
	RollbackTo                    // ROLLBACK TO name
)

// ParseSavepoint reads SAVEPOINT, RELEASE and ROLLBACK TO in all their spellings, as [ParseChannel] does: it is false where the
// name cannot be told, with the control if that can be.
func ParseSavepoint(stmt []byte, stdStrings bool, buf []byte) (c Control, name []byte, ok bool) {
	p := sessionParser{lexer: lexer{text: stmt, std: stdStrings}}
	p.advance()
	switch {
	case p.accept("savepoint"):
		c = Savepoint
	case p.accept("release"):
		c = Release
		p.skipSavepoint()
	case p.accept("rollback"), p.accept("abort"):
		if !p.accept("work") {
			p.accept("transaction")
		}
		if !p.accept("to") {
			return 0, nil, false
		}
		c = RollbackTo
		p.skipSavepoint()
	default:
		return 0, nil, false
	}
	name, ok = p.last(buf)
	return c, name, ok
}

// skipSavepoint takes the word SAVEPOINT, unless it is the name.
func (p *sessionParser) skipSavepoint() {
	if p.isWord(p.tok, "savepoint") && p.next(p.tok.end).kind != tokEnd {
		p.advance()
	}
}

// last takes an identifier that is the end of the statement.
func (p *sessionParser) last(buf []byte) (name []byte, ok bool) {
	if !p.isIdentifier() {
		return nil, false
	}
	t := p.tok
	p.advance()
	if p.tok.kind != tokEnd || p.found&FlagUnfollowable != 0 {
		return nil, false
	}
	return statementName(buf[:0], p.text[t.start:t.end]), true
}
