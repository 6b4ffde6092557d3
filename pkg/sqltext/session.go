package sqltext

import "bytes"

// Kind is what a statement does to a session.
type Kind uint8

// The kinds of statements that [ParseSession] reads.
const (
	SetParam           Kind = iota + 1 // SET name, in all its spellings
	SetSeed                            // SET seed, which sets no parameter but the state of random()
	SetCharacteristics                 // SET SESSION CHARACTERISTICS AS TRANSACTION: see Session.Modes
	SetTransaction                     // SET TRANSACTION: see Session.Modes
	SetConstraints                     // SET CONSTRAINTS
	ResetParam                         // RESET name
	ResetAll                           // RESET ALL
	DiscardAll                         // DISCARD ALL
	DiscardPlans                       // DISCARD PLANS
	DiscardSequences                   // DISCARD SEQUENCES
	DiscardTemp                        // DISCARD TEMP
	DeallocateAll                      // DEALLOCATE ALL
	DeallocateName                     // DEALLOCATE name
)

// Session is a statement that changes its session.
type Session struct {
	Kind  Kind
	Local bool // SET LOCAL

	// Name is the parameter as the server spells it, in lower case, or the prepared statement. It aliases the statement or the
	// buffer given to [ParseSession].
	Name        []byte
	ToDefault   bool // SET name TO DEFAULT and its like: no value
	FromCurrent bool // SET name FROM CURRENT: no value

	// Where name and value stand in the statement; of special forms the name is their words, TIME ZONE. The value of
	// SET TIME ZONE INTERVAL … or a list of words is not one literal. Both are 0 where there is none.
	NameStart, NameEnd   int
	ValueStart, ValueEnd int

	Modes Modes
}

// Modes are the modes of a transaction as values of the parameters transaction_… or default_transaction_…; those that a
// statement does not name are "".
type Modes struct{ Isolation, ReadOnly, Deferrable string }

// ParseSession reads SET, RESET, DISCARD and DEALLOCATE from one statement, as [Scanner] gives them. It is false for all
// others, for what PostgreSQL would refuse as far as that is seen here, and for names whose spelling depends on more than
// the text: with escapes, unquoted beyond ASCII, or too long.
//
// A name that must be spelled differently than in stmt is appended to buf[:0], which needs at most 63 bytes.
func ParseSession(stmt []byte, stdStrings bool, buf []byte) (Session, bool) {
	p := sessionParser{lexer: lexer{text: stmt, std: stdStrings}}
	if !p.statement() || p.found&FlagUnfollowable != 0 {
		return Session{}, false
	}
	s := p.session
	switch {
	case s.NameEnd == 0:
	case p.special != "":
		s.Name = append(buf[:0], p.special...)
	case s.Kind == DeallocateName:
		s.Name = statementName(buf[:0], stmt[s.NameStart:s.NameEnd])
	default:
		s.Name = paramName(buf[:0], stmt[s.NameStart:s.NameEnd])
	}
	if len(s.Name) > maxName {
		return Session{}, false
	}
	if s.Kind == SetParam && string(s.Name) == "seed" {
		s.Kind = SetSeed
	}
	return s, true
}

// sessionParser reads tokens by recursive descent, one ahead.
type sessionParser struct {
	lexer
	tok     token
	session Session // without the Name
	special string  // the parameter of a special form, TIME ZONE
}

func (p *sessionParser) advance() { p.tok = p.next(p.tok.end) }

// accept takes the word if it is next.
func (p *sessionParser) accept(word string) bool {
	ok := p.isWord(p.tok, word)
	if ok {
		p.advance()
	}
	return ok
}

// done takes the end of a statement of this kind.
func (p *sessionParser) done(kind Kind) bool {
	p.session.Kind = kind
	return p.tok.kind == tokEnd
}

// statement reads the whole.
func (p *sessionParser) statement() bool {
	p.advance()
	switch {
	case p.accept("set"):
		return p.set()
	case p.accept("reset"):
		return p.reset()
	case p.accept("discard"):
		return p.discard()
	case p.accept("deallocate"):
		return p.deallocate()
	}
	return false
}

// set reads what follows SET. A word that begins a special form is a parameter's name when TO, =, FROM or a dot follows.
func (p *sessionParser) set() bool {
	if p.isSpecial("constraints") {
		p.session.Kind = SetConstraints
		return true
	}
	switch {
	case p.isSpecial("local"):
		p.session.Local = true
		p.advance()
	case p.isSpecial("session") && !p.follows("authorization") && !p.isCharacteristics():
		p.advance()
	}
	switch {
	case p.isSpecial("transaction"):
		p.advance()
		return p.modes(SetTransaction)
	case p.isSpecial("session") && p.isCharacteristics():
		for range 4 { // SESSION CHARACTERISTICS AS TRANSACTION
			p.advance()
		}
		return p.modes(SetCharacteristics)
	}
	if name, words := p.specialName(); words > 0 {
		p.takeSpecial(name, words)
		return p.setSpecial()
	}
	if !p.name() {
		return false
	}
	p.session.Kind = SetParam
	if p.accept("from") {
		p.session.FromCurrent = true
		return p.accept("current") && p.tok.kind == tokEnd
	}
	if !p.isSymbol(p.tok, '=') && !p.isWord(p.tok, "to") {
		return false
	}
	p.advance()
	return p.value("default")
}

// isSpecial reports whether the next token is this word and not the name of a parameter.
func (p *sessionParser) isSpecial(word string) bool {
	if !p.isWord(p.tok, word) {
		return false
	}
	t := p.next(p.tok.end)
	return !p.isSymbol(t, '=') && !p.isSymbol(t, '.') && !p.isWord(t, "to") && !p.isWord(t, "from")
}

// follows reports whether the token behind the next one is this word.
func (p *sessionParser) follows(word string) bool { return p.isWord(p.next(p.tok.end), word) }

// isCharacteristics tells SESSION CHARACTERISTICS AS TRANSACTION from SESSION characteristics = value.
func (p *sessionParser) isCharacteristics() bool {
	t := p.next(p.tok.end)
	if !p.isWord(t, "characteristics") {
		return false
	}
	as := p.next(t.end)
	return p.isWord(as, "as") && p.isWord(p.next(as.end), "transaction")
}

// specialName returns the parameter that a special form of SET sets, and of how many words that form consists.
func (p *sessionParser) specialName() (name string, words int) {
	switch {
	case p.isSpecial("time") && p.follows("zone"):
		return "timezone", 2
	case p.isSpecial("names"):
		return "client_encoding", 1
	case p.isSpecial("schema"):
		return "search_path", 1
	case p.isSpecial("role"):
		return "role", 1
	case p.isSpecial("session") && p.follows("authorization"):
		return "session_authorization", 2
	case p.isSpecial("xml") && p.follows("option"):
		return "xmloption", 2
	}
	return "", 0
}

// setSpecial reads the value of a special form.
func (p *sessionParser) setSpecial() bool {
	p.session.Kind = SetParam
	switch p.special {
	case "timezone":
		if p.isWord(p.tok, "local") {
			return p.value("local")
		}
	case "client_encoding":
		if p.tok.kind == tokEnd {
			p.session.ToDefault = true
			return true
		}
	case "search_path":
		return p.tok.kind == tokString && p.value("")
	case "role", "xmloption":
		return !p.isWord(p.tok, "default") && p.value("")
	}
	return p.value("default")
}

// takeSpecial takes the words of a special form as the name.
func (p *sessionParser) takeSpecial(name string, words int) {
	p.session.NameStart = p.tok.start
	for range words {
		p.session.NameEnd = p.tok.end
		p.advance()
	}
	p.special = name
}

// value takes all that is left as the value, which must be there; the word unset, alone, is none.
func (p *sessionParser) value(unset string) bool {
	first := p.tok
	if unset != "" && p.accept(unset) {
		p.session.ToDefault = true
		return p.tok.kind == tokEnd
	}
	p.session.ValueStart = first.start
	for p.tok.kind != tokEnd {
		if p.isSymbol(p.tok, ';') {
			return false
		}
		p.session.ValueEnd = p.tok.end
		p.advance()
	}
	return first.kind != tokEnd
}

// name takes the name of a parameter: identifiers with dots.
func (p *sessionParser) name() bool {
	p.session.NameStart = p.tok.start
	for {
		if !p.isIdentifier() {
			return false
		}
		p.session.NameEnd = p.tok.end
		p.advance()
		if !p.isSymbol(p.tok, '.') {
			break
		}
		p.advance()
	}
	return true
}

// isIdentifier reports whether the next token is an identifier whose bytes are its name.
func (p *sessionParser) isIdentifier() bool {
	text := p.text[p.tok.start:p.tok.end]
	switch {
	case p.found&FlagUnfollowable != 0: // perhaps its own quote is missing
		return false
	case p.tok.kind == tokQuoted:
		if text[0] != '"' { // U&"…"
			return false
		}
		text = unquote(text)
		return len(text) > 0 && len(text) <= maxName && bytes.IndexByte(text, '"') < 0
	case p.tok.kind == tokWord:
		for _, c := range text {
			if c >= 0x80 {
				return false
			}
		}
		return len(text) <= maxName
	}
	return false
}

// modes takes the modes of a transaction; the last word on each counts.
func (p *sessionParser) modes(kind Kind) bool {
	m := &p.session.Modes
	if kind == SetTransaction && p.accept("snapshot") {
		return p.value("") && p.done(kind)
	}
	if p.tok.kind == tokEnd {
		return false
	}
	for p.tok.kind != tokEnd {
		switch {
		case p.accept("isolation"):
			if m.Isolation = p.isolation(); m.Isolation == "" {
				return false
			}
		case p.accept("read"):
			switch {
			case p.accept("only"):
				m.ReadOnly = "on"
			case p.accept("write"):
				m.ReadOnly = "off"
			default:
				return false
			}
		case p.accept("deferrable"):
			m.Deferrable = "on"
		case p.accept("not"):
			if m.Deferrable = "off"; !p.accept("deferrable") {
				return false
			}
		default:
			return false
		}
		if p.isSymbol(p.tok, ',') {
			if p.advance(); p.tok.kind == tokEnd {
				return false
			}
		}
	}
	return p.done(kind)
}

// isolation takes LEVEL and an isolation level; "" if they are not there.
func (p *sessionParser) isolation() string {
	switch {
	case !p.accept("level"):
	case p.accept("serializable"):
		return "serializable"
	case p.accept("repeatable") && p.accept("read"):
		return "repeatable read"
	case p.accept("read"):
		if p.accept("committed") {
			return "read committed"
		}
		if p.accept("uncommitted") {
			return "read uncommitted"
		}
	}
	return ""
}

// reset reads what follows RESET.
func (p *sessionParser) reset() bool {
	switch {
	case p.accept("all"):
		return p.done(ResetAll)
	case p.isWord(p.tok, "time") && p.follows("zone"):
		p.takeSpecial("timezone", 2)
	case p.isWord(p.tok, "session") && p.follows("authorization"):
		p.takeSpecial("session_authorization", 2)
	case p.isWord(p.tok, "transaction") && p.follows("isolation"):
		p.takeSpecial("transaction_isolation", 2)
		if !p.isWord(p.tok, "level") {
			return false
		}
		p.session.NameEnd = p.tok.end
		p.advance()
	case !p.name():
		return false
	}
	return p.done(ResetParam)
}

// discard reads what follows DISCARD.
func (p *sessionParser) discard() bool {
	switch {
	case p.accept("all"):
		return p.done(DiscardAll)
	case p.accept("plans"):
		return p.done(DiscardPlans)
	case p.accept("sequences"):
		return p.done(DiscardSequences)
	case p.accept("temp"), p.accept("temporary"):
		return p.done(DiscardTemp)
	}
	return false
}

// deallocate reads what follows DEALLOCATE [PREPARE].
func (p *sessionParser) deallocate() bool {
	if p.isWord(p.tok, "prepare") && p.next(p.tok.end).kind != tokEnd {
		p.advance()
	}
	if p.accept("all") {
		return p.done(DeallocateAll)
	}
	if !p.isIdentifier() {
		return false
	}
	p.session.NameStart, p.session.NameEnd = p.tok.start, p.tok.end
	p.advance()
	return p.done(DeallocateName)
}
