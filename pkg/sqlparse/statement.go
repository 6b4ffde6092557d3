package sqlparse

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// statement tells what m does if it is a statement, or a part of one that says more, and what is done to the relations that it
// names. access is what is done where it stands.
func (w *walker) statement(m protoreflect.Message, access Access) (Does, Access) {
	switch n := m.Interface().(type) {
	case *pg.RawStmt:
		switch n.GetStmt().GetNode().(type) {
		case *pg.Node_VariableSetStmt, *pg.Node_ConstraintsSetStmt:
			return Sets, access
		}
		return 0, access
	case *pg.VariableSetStmt, *pg.ConstraintsSetStmt, *pg.ExplainStmt:
		return 0, access // within others the former are clauses
	case *pg.SelectStmt, *pg.VariableShowStmt, *pg.ReturnStmt:
		return 0, Reads
	case *pg.IntoClause: // of SELECT INTO and CREATE TABLE AS
		return Changes, Defines | Inserts

	case *pg.InsertStmt:
		if n.GetOnConflictClause().GetAction() == pg.OnConflictAction_ONCONFLICT_UPDATE {
			return Writes, Inserts | Updates
		}
		return Writes, Inserts
	case *pg.UpdateStmt:
		return Writes, Updates
	case *pg.DeleteStmt:
		return Writes, Deletes
	case *pg.MergeStmt:
		return Writes, merges(n)
	case *pg.TruncateStmt:
		return Writes, Truncates
	case *pg.CopyStmt:
		if n.GetIsFrom() {
			return Copies | Writes, Inserts
		}
		return Copies, Reads

	case *pg.DoStmt:
		return RunsCode, access
	case *pg.CallStmt:
		return Calls, access
	case *pg.ExecuteStmt:
		return Executes, access
	case *pg.PrepareStmt:
		return Prepares, access
	case *pg.DeclareCursorStmt:
		if n.GetOptions()&holds != 0 {
			return HoldsCursor, access
		}
		return 0, access
	case *pg.ListenStmt:
		return Listens, access
	case *pg.LoadStmt:
		return Loads, access
	case *pg.TransactionStmt:
		return Controls, access
	case *pg.FetchStmt, *pg.ClosePortalStmt, *pg.NotifyStmt, *pg.UnlistenStmt, *pg.DeallocateStmt, *pg.DiscardStmt, *pg.LockStmt,
		*pg.CheckPointStmt, *pg.VacuumStmt:
		return Other, Reads

	case *pg.DropStmt:
		w.drops(n)
		return Changes, Defines
	}
	if strings.HasSuffix(string(m.Descriptor().Name()), "Stmt") {
		return Changes, Defines
	}
	return 0, access
}

// analyzed says whether PostgreSQL does more than read the words of the statement when it parses it.
func analyzed(n *pg.Node) bool {
	switch n.GetNode().(type) {
	case *pg.Node_SelectStmt, *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt, *pg.Node_ReturnStmt,
		*pg.Node_PlassignStmt, *pg.Node_DeclareCursorStmt, *pg.Node_ExplainStmt, *pg.Node_CreateTableAsStmt, *pg.Node_CallStmt:
		return true
	}
	return false
}

// merges is what MERGE may do to the relation that it merges into.
func merges(n *pg.MergeStmt) (a Access) {
	for _, clause := range n.GetMergeWhenClauses() {
		switch clause.GetMergeWhenClause().GetCommandType() {
		case pg.CmdType_CMD_INSERT:
			a |= Inserts
		case pg.CmdType_CMD_UPDATE:
			a |= Updates
		case pg.CmdType_CMD_DELETE:
			a |= Deletes
		}
	}
	return a | Reads
}

// drops notes the relations that are dropped, and those from which something is.
func (w *walker) drops(n *pg.DropStmt) {
	part := 0 // names of a part behind the relation's
	switch n.GetRemoveType() {
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_SEQUENCE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW,
		pg.ObjectType_OBJECT_INDEX, pg.ObjectType_OBJECT_FOREIGN_TABLE:
	case pg.ObjectType_OBJECT_TRIGGER, pg.ObjectType_OBJECT_RULE, pg.ObjectType_OBJECT_POLICY:
		part = 1
	default:
		return
	}
	for _, object := range n.GetObjects() {
		if names := object.GetList().GetItems(); len(names) > part {
			w.relation(nameOf(names[:len(names)-part]), Defines)
		}
	}
}
