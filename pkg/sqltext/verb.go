package sqltext

// Verb is the word that a statement begins with, parentheses aside.
type Verb uint8

// The verbs. Those up to lastPlain carry no flag by themselves.
const (
	VerbNone Verb = iota // no statement
	VerbOther
	VerbSelect
	VerbInsert
	VerbUpdate
	VerbDelete
	VerbMerge
	VerbWith
	VerbValues
	VerbTable
	VerbShow
	VerbFetch
	VerbMove
	VerbClose
	VerbNotify
	VerbLock
	VerbTruncate
	VerbAlter
	VerbDrop
	VerbGrant
	VerbRevoke
	VerbAnalyze
	VerbVacuum
	VerbCall
	VerbDo
	VerbLoad
	lastPlain = VerbLoad
)

// The verbs whose statements carry flags.
const (
	VerbExplain = iota + lastPlain + 1
	VerbCreate
	VerbDeclare
	VerbCopy
	VerbBegin
	VerbStart
	VerbCommit
	VerbEnd
	VerbRollback
	VerbAbort
	VerbSavepoint
	VerbRelease
	VerbPrepare
	VerbExecute
	VerbDeallocate
	VerbSet
	VerbReset
	VerbDiscard
	VerbListen
	VerbUnlisten
)

const longestVerb = len("deallocate")

// verbOf returns the verb of a word in any case.
func verbOf(word []byte) Verb {
	var lower [16]byte
	if len(word) > longestVerb {
		return VerbOther
	}
	for i, c := range word {
		lower[i&15] = c | 0x20 // a letter of a verb comes of nothing but that letter
	}
	switch string(lower[:len(word)]) {
	case "select":
		return VerbSelect
	case "insert":
		return VerbInsert
	case "update":
		return VerbUpdate
	case "delete":
		return VerbDelete
	case "merge":
		return VerbMerge
	case "with":
		return VerbWith
	case "values":
		return VerbValues
	case "table":
		return VerbTable
	case "show":
		return VerbShow
	case "fetch":
		return VerbFetch
	case "move":
		return VerbMove
	case "close":
		return VerbClose
	case "notify":
		return VerbNotify
	case "lock":
		return VerbLock
	case "truncate":
		return VerbTruncate
	case "alter":
		return VerbAlter
	case "drop":
		return VerbDrop
	case "grant":
		return VerbGrant
	case "revoke":
		return VerbRevoke
	case "analyze", "analyse":
		return VerbAnalyze
	case "vacuum":
		return VerbVacuum
	case "call":
		return VerbCall
	case "do":
		return VerbDo
	case "load":
		return VerbLoad
	case "explain":
		return VerbExplain
	case "create":
		return VerbCreate
	case "declare":
		return VerbDeclare
	case "copy":
		return VerbCopy
	case "begin":
		return VerbBegin
	case "start":
		return VerbStart
	case "commit":
		return VerbCommit
	case "end":
		return VerbEnd
	case "rollback":
		return VerbRollback
	case "abort":
		return VerbAbort
	case "savepoint":
		return VerbSavepoint
	case "release":
		return VerbRelease
	case "prepare":
		return VerbPrepare
	case "execute":
		return VerbExecute
	case "deallocate":
		return VerbDeallocate
	case "set":
		return VerbSet
	case "reset":
		return VerbReset
	case "discard":
		return VerbDiscard
	case "listen":
		return VerbListen
	case "unlisten":
		return VerbUnlisten
	}
	return VerbOther
}
