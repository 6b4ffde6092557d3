// Package sqltext reads SQL text as PostgreSQL's lexer does and tells what a proxy must know of it: where statements begin and end, what kind they are, what a SET sets. It never builds a parse tree and never allocates.
//
// The authority is PostgreSQL's scan.l. Text is in an encoding whose bytes below 0x80 are ASCII wherever they stand, see
// [Followable]. Nothing here keeps a text: results are offsets, or alias it until the caller's buffer is reused.
package sqltext

// Flags say what a text holds. They may say too much of a text that PostgreSQL refuses, never too little.
type Flags uint32

// What a text may hold: statements by their leading words, then words anywhere.
const (
	FlagSet                Flags = 1 << iota // SET of a parameter, also LOCAL
	FlagSetCharacteristics                   // SET SESSION CHARACTERISTICS, which sets default_transaction_… parameters
	FlagSetTransaction                       // SET TRANSACTION or SET CONSTRAINTS, which end with the transaction
	FlagReset                                // RESET name or RESET ALL
	FlagDiscardAll                           // DISCARD ALL
	FlagDiscardOther                         // DISCARD of anything else
	FlagDeallocateAll                        // DEALLOCATE ALL
	FlagDeallocate                           // DEALLOCATE name
	FlagPrepare                              // PREPARE name AS
	FlagExecute                              // EXECUTE name, also under EXPLAIN or CREATE TABLE AS
	FlagListen                               // LISTEN
	FlagUnlisten                             // UNLISTEN
	FlagTransactionControl                   // BEGIN, START, COMMIT, END, ROLLBACK, ABORT, SAVEPOINT, RELEASE, PREPARE TRANSACTION
	FlagBegin                                // BEGIN or START TRANSACTION
	FlagCopy                                 // COPY
	FlagCreateTemp                           // CREATE TEMP, SELECT INTO TEMP, or the schema pg_temp
	FlagHoldCursor                           // DECLARE … WITH HOLD
	FlagSetConfig                            // the word set_config, or anything but SELECT with pg_settings, whose UPDATE is a SET
	FlagTimeWords                            // now, today, tomorrow, yesterday or allballs, or a literal whose escapes may hide one
	FlagAdvisory                             // the word advisory, as in pg_advisory_lock
	FlagUnfollowable                         // something does not end, or its meaning depends on more than the text

	flagTemp     // the word temp
	flagSettings // the word pg_settings
	flagHidden   // a name whose escapes may hide one of these
	private      = flagTemp | flagSettings | flagHidden
)

// Summary is what [Classify] tells of a text.
type Summary struct {
	Statements int // without empty ones
	First      Verb
	Flags      Flags
}

// Classify reads a whole text. stdStrings is the session's standard_conforming_strings.
func Classify(text []byte, stdStrings bool) Summary {
	var sum Summary
	var s Scanner
	s.Reset(text, stdStrings)
	for {
		st, ok := s.Next()
		if !ok {
			break
		}
		if sum.Statements++; sum.Statements == 1 {
			sum.First = st.Verb
		}
		if s.lex.found&flagSettings != 0 && st.Verb != VerbSelect {
			sum.Flags |= FlagSetConfig
		}
		if st.Verb > lastPlain || s.lex.found&flagTemp != 0 {
			sum.Flags |= statementFlags(text[st.Start:st.End], stdStrings, st.Verb)
		}
	}
	sum.Flags |= s.lex.found
	if sum.Flags&flagHidden != 0 {
		sum.Flags |= FlagUnfollowable
	}
	sum.Flags &^= private
	return sum
}

// statementFlags are the flags of one statement that begins with verb.
func statementFlags(stmt []byte, stdStrings bool, verb Verb) Flags {
	l := lexer{text: stmt, std: stdStrings}
	switch verb {
	case VerbSet, VerbReset, VerbDiscard, VerbDeallocate:
		return sessionFlags(stmt, stdStrings, verb)
	case VerbPrepare:
		if l.isPrepareTransaction() {
			return FlagTransactionControl
		}
		return FlagPrepare
	case VerbExecute:
		return FlagExecute
	case VerbListen:
		return FlagListen
	case VerbUnlisten:
		return FlagUnlisten
	case VerbBegin, VerbStart:
		return FlagTransactionControl | FlagBegin
	case VerbCommit, VerbEnd, VerbRollback, VerbAbort, VerbSavepoint, VerbRelease:
		return FlagTransactionControl
	case VerbCopy:
		return FlagCopy
	default:
		return l.wordFlags(verb)
	}
}

// sessionFlags are the flags of a statement that [ParseSession] reads. Where that cannot tell, the worst is assumed.
func sessionFlags(stmt []byte, stdStrings bool, verb Verb) Flags {
	var name [maxName]byte
	s, ok := ParseSession(stmt, stdStrings, name[:0])
	if ok {
		return flagsOfKind[s.Kind]
	}
	switch verb {
	case VerbReset:
		return FlagReset | FlagUnfollowable
	case VerbDiscard:
		return FlagDiscardOther | FlagUnfollowable
	case VerbDeallocate:
		return FlagDeallocate | FlagUnfollowable
	default:
		return FlagSet | FlagUnfollowable
	}
}

var flagsOfKind = [...]Flags{
	SetParam:           FlagSet,
	SetSeed:            FlagSet,
	SetCharacteristics: FlagSetCharacteristics,
	SetTransaction:     FlagSetTransaction,
	SetConstraints:     FlagSetTransaction,
	ResetParam:         FlagReset,
	ResetAll:           FlagReset,
	DiscardAll:         FlagDiscardAll,
	DiscardPlans:       FlagDiscardOther,
	DiscardSequences:   FlagDiscardOther,
	DiscardTemp:        FlagDiscardOther,
	DeallocateAll:      FlagDeallocateAll,
	DeallocateName:     FlagDeallocate,
}

// isPrepareTransaction tells PREPARE TRANSACTION 'id' from PREPARE transaction AS.
func (l *lexer) isPrepareTransaction() bool {
	t := l.next(l.next(0).end)
	return l.isWord(t, "transaction") && l.next(t.end).kind == tokString
}

// wordFlags finds what stands within a statement: a temporary relation that it makes, a cursor that outlives its
// transaction, a prepared statement that it runs.
func (l *lexer) wordFlags(verb Verb) (found Flags) {
	var last token
	for t := l.next(0); t.kind != tokEnd; last, t = t, l.next(t.end) {
		switch {
		case t.kind != tokWord:
		case l.isWord(t, "temp"), l.isWord(t, "temporary"):
			if verb == VerbCreate || l.isWord(last, "into") || l.isWord(last, "local") || l.isWord(last, "global") {
				found |= FlagCreateTemp
			}
		case verb == VerbDeclare && l.isWord(t, "hold") && l.isWord(last, "with"):
			found |= FlagHoldCursor
		case l.isWord(t, "execute") && (verb == VerbExplain || verb == VerbCreate && l.isWord(last, "as")):
			found |= FlagExecute
		}
	}
	return found
}

// Followable reports whether texts in a client_encoding, spelled as ParameterStatus does, can be read byte by byte. In the
// others a byte that looks like a backslash or a letter may be half a character.
func Followable(clientEncoding string) bool {
	switch clientEncoding {
	case "SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "GB18030", "JOHAB":
		return false
	}
	return true
}
