// Package planted names parts of the proxy that a build with the tag planted can be told to leave out, so that the checks that are there to miss them are seen to do so. In every other build it does nothing and costs nothing.
package planted

// Fault is a part that is left out.
type Fault string

// What leaves something on a server connection and is not seen. The names are those of the kinds in deploy/leaks.
const (
	Set       Fault = "set"        // SET in a text
	Rollback  Fault = "rollback"   // that a transaction ends otherwise than it began: what was set in it counts
	SetConfig Fault = "set_config" // the call of set_config in a text
	Role      Fault = "role"       // SET ROLE
	Called    Fault = "called"     // that a function is called by its number
	Judged    Fault = "judged"     // that what was found out about a text that is refused as malformed, or skipped, is not true of the next
	Do        Fault = "do"         // what a statement reaches: by DO,
	Written   Fault = "written"    // functions that somebody has written,
	Operator  Fault = "operates"   // operators,
	Trigger   Fault = "trigger"    // triggers,
	Default   Fault = "default"    // defaults of columns,
	Check     Fault = "check"      // constraints,
	Policy    Fault = "policy"     // row security,
	Rule      Fault = "rule"       // rules and views
	Parameter Fault = "parameter"  // what custom parameters the source of functions sets
	Temporary Fault = "temporary"  // temporary tables in a text
	Cursor    Fault = "cursor"     // cursors WITH HOLD in a text
	Lock      Fault = "lock"       // advisory locks in a text
	Listen    Fault = "listen"     // LISTEN in a text
	Prepared  Fault = "prepared"   // PREPARE in a text
	Sequence  Fault = "sequence"   // what currval answers
	Seed      Fault = "seed"       // setseed
	Custom    Fault = "custom"     // parameters that no extension has defined
	Unseen    Fault = "unseen"     // that an unnamed statement which is too large to be looked at may do anything
)

// What makes a session that listens by the shared listener miss something, or hear it too early; the tests of listening find each.
const (
	Overflow Fault = "overflow" // notifications for a session that does not read are dropped without a word
	Early    Fault = "early"    // LISTEN counts before its COMMIT
	Unheard  Fault = "unheard"  // LISTEN is answered before the server listens
)

// Hog is that places of server connections go to whoever has asked first, whatever pool it is; the test of fairness finds it.
const Hog Fault = "hog"
