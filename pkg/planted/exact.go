package planted

// What makes answers differ from PostgreSQL's; deploy/exact finds each.
const (
	Skipping   Fault = "skipping"   // the server is not known to skip to a Sync that the client has yet to send
	Swallowed  Fault = "swallowed"  // a CloseComplete is taken for the proxy's own
	Unnamed    Fault = "unnamed"    // the unnamed statement is kept over a Query
	CopySync   Fault = "copy_sync"  // a Sync among copy data is taken for one that is answered
	Late       Fault = "late"       // the settings are brought over with the second packet, not the first
	Notice     Fault = "notice"     // a notice is dropped
	Unsynced   Fault = "unsynced"   // a unit that is open does not keep the server connection
	Short      Fault = "short"      // a packet that is shorter than a header loses a byte
	Unfinished Fault = "unfinished" // the transaction of a lost client is not rolled back
	Unasked    Fault = "unasked"    // what a transaction has set is not asked for
	Held       Fault = "held"       // a server connection counts as having every statement
	Inferred   Fault = "inferred"   // the types of parameters are inferred anew on another server connection
	Told       Fault = "told"       // a statement is used whatever its client was told of its shape

	// Of what goes along when another process takes the proxy's place:
	Unset   Fault = "unset"   // what a session has set
	Unbound Fault = "unbound" // that a statement is bound to its server connection

	// Of TLS:
	Record Fault = "record" // a record that comes in two pieces is taken for two
	Behind Fault = "behind" // what comes in one packet behind a record is forgotten
)
