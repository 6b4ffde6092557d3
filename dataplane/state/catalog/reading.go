package catalog

// Row is a fact of a reading. What says which; A, B, S, N and X are what that fact needs. Relations, functions and operators
// are named by their object identifiers in the database.
//
// A stored expression needs what B is, by S: "operator", "relation" or "relid", or else a function.
type Row struct {
	What    What
	A, B    uint32
	S, N, X string
}

// What is what a row tells.
type What string

// What rows tell.
const (
	FunctionRow   What = "function"       // A is S.N; B is 1 where PostgreSQL takes x.N for a call; X: "builtin", "constructor", "extension NAME", or written
	AggregateRow  What = "aggregate"      // A uses the function B, or operator B by X
	OperatorRow   What = "operator"       // A is S.N
	OperatesRow   What = "operates"       // the operator A calls the function B
	TwinRow       What = "twin"           // the operator A may be turned into B
	TypeRow       What = "type"           // there is S.N
	RelationRow   What = "relation"       // A is S.N, of kind X
	InheritsRow   What = "inherits"       // of A, the table B does
	ReferencesRow What = "references"     // the table A does the table B; X has what an update and a deletion there do
	TriggerRow    What = "trigger"        // N of A calls B; X has the events
	ConditionRow  What = "condition"      // a trigger's of A needs B; X has the events
	DefaultRow    What = "default"        // a column's of A needs B; X: "s" it is generated and stored, "v" when it is read
	IdentityRow   What = "identity"       // A has such a column
	RuleRow       What = "rule"           // of A needs B; X is the event
	CheckRow      What = "check"          // the constraint N of A needs B
	PolicyRow     What = "policy"         // of A needs B
	IndexRow      What = "index"          // of A needs B
	PartitionRow  What = "partition key"  // of A needs B
	StatisticsRow What = "statistics"     // of A need B
	DomainRow     What = "domain"         // N needs B
	TypeNeedsRow  What = "type needs"     // N needs B for its values
	CastRow       What = "cast"           // N calls B
	ClassRow      What = "operator class" // or family N calls B
	NeedsRow      What = "needs"          // something of the system catalogue N calls B
	ParameterRow  What = "parameter"      // the source of some function sets N, which no extension may have defined
)
