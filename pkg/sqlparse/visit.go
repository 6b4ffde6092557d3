package sqlparse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

const (
	temporary = "t"        // relpersistence
	holds     = 0x00000020 // CURSOR_OPT_HOLD
)

// visit notes what one message of the tree says, and returns what is done to relations directly below it.
func (w *walker) visit(m protoreflect.Message, access Access) Access {
	f := w.facts
	switch n := m.Interface().(type) {
	case *pg.RangeVar:
		w.relation(Name{n.GetSchemaname(), n.GetRelname()}, access)
		if n.GetRelpersistence() == temporary {
			f.Does |= MakesTemp
		}
	case *pg.FuncCall:
		note(&f.Functions, nameOf(n.GetFuncname()))
	case *pg.RangeTableSample:
		note(&f.Functions, nameOf(n.GetMethod()))
	case *pg.TypeName:
		note(&f.Types, nameOf(n.GetNames()))
	case *pg.ColumnRef:
		w.attributes(n.GetFields()[1:])
	case *pg.A_Indirection:
		w.attributes(n.GetIndirection())
	case *pg.A_Const:
		if sqltext.HasMoment(n.GetSval().GetSval()) {
			f.Does |= Moment
		}
	case *pg.A_Expr, *pg.SubLink, *pg.SortBy, *pg.CaseExpr, *pg.JoinExpr:
		w.operators(m)
	default:
		does, done := w.statement(m, access)
		f.Does |= does
		return done
	}
	return access
}

// attributes notes names behind dots.
func (w *walker) attributes(list []*pg.Node) {
	for _, n := range list {
		if s := n.GetString_(); s != nil {
			note(&w.facts.Attributes, s.GetSval())
		}
	}
}

// operators notes the operators of an expression, also those that it has another word for.
func (w *walker) operators(m protoreflect.Message) {
	var names []Name
	equals := false
	switch n := m.Interface().(type) {
	case *pg.A_Expr:
		switch n.GetKind() {
		case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM:
			names = []Name{{Name: ">="}, {Name: "<="}}
		case pg.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
			names = []Name{{Name: "<"}, {Name: ">"}}
		default:
			names = []Name{nameOf(n.GetName())}
		}
	case *pg.SortBy:
		if op := n.GetUseOp(); len(op) > 0 {
			names = []Name{nameOf(op)}
		}
	case *pg.SubLink:
		if op := n.GetOperName(); len(op) > 0 {
			names = []Name{nameOf(op)}
		}
		equals = len(names) == 0 && n.GetTestexpr() != nil // IN
	case *pg.CaseExpr:
		equals = n.GetArg() != nil
	case *pg.JoinExpr:
		equals = n.GetIsNatural() || len(n.GetUsingClause()) > 0
	}
	if equals {
		names = []Name{{Name: "="}}
	}
	for _, n := range names {
		note(&w.facts.Operators, n)
	}
}

// nameOf is the name that a list of String nodes spells; of more than two parts the last two.
func nameOf(list []*pg.Node) Name {
	var n Name
	if k := len(list); k > 0 {
		n.Name = list[k-1].GetString_().GetSval()
		if k > 1 {
			n.Schema = list[k-2].GetString_().GetSval()
		}
	}
	return n
}
