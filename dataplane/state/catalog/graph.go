package catalog

import (
	"iter"

	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
)

// graph is who reaches what: nodes are functions, operators, and accesses to relations. A node is made when it is first named;
// a function that no reading has told of is suspect.
type graph struct {
	ids   map[node]int32
	keys  []node
	reach []Reach
	to    [][]link // by who is reached: those who reach it
	via   []*step  // by what the node came to be suspect

	always int32 // every statement
}

// node says what a node is.
type node struct {
	kind byte // 'f' a function, 'o' an operator, 'r' a relation, 'k' its partition key, 'c' what is certain, 'a' every statement
	by   sqlparse.Access
	oid  uint32
}

// link is an edge, seen from who is reached.
type link struct {
	from int32
	row  *Row
}

// step is an edge, seen from who reaches.
type step struct {
	to  int32
	row *Row
}

func newGraph() *graph {
	g := &graph{ids: map[node]int32{}}
	g.always = g.id(node{kind: 'a'})
	return g
}

func (g *graph) id(n node) int32 {
	i, ok := g.ids[n]
	if !ok {
		i = int32(len(g.keys))
		g.ids[n] = i
		g.keys = append(g.keys, n)
		g.reach = append(g.reach, 0)
		g.to = append(g.to, nil)
		g.via = append(g.via, nil)
		if n.kind == 'f' {
			g.reach[i] = Suspect | unknown
		}
	}
	return i
}

// unknown marks a function of which nothing was told yet.
const unknown Reach = 1 << 7

func (g *graph) function(oid uint32) int32 { return g.id(node{kind: 'f', oid: oid}) }
func (g *graph) operator(oid uint32) int32 { return g.id(node{kind: 'o', oid: oid}) }
func (g *graph) key(oid uint32) int32      { return g.id(node{kind: 'k', oid: oid}) }

func (g *graph) relation(oid uint32, by sqlparse.Access) int32 {
	return g.id(node{kind: 'r', oid: oid, by: by})
}

// constant is a node that reaches what r says.
func (g *graph) constant(r Reach) int32 {
	i := g.id(node{kind: 'c', oid: uint32(r)})
	g.reach[i] = r
	return i
}

// seed says what a function reaches by itself.
func (g *graph) seed(n int32, r Reach) { g.reach[n] = r }

// edge says that from reaches whatever to does, because of a row.
func (g *graph) edge(from, to int32, because *Row) {
	if from != to {
		g.to[to] = append(g.to[to], link{from, because})
	}
}

// edges is edge from each of the accesses to a relation.
func (g *graph) edges(relation uint32, by sqlparse.Access, to int32, because *Row) {
	for a := range each(by) {
		g.edge(g.relation(relation, a), to, because)
	}
}

// close lets everything that is reached be reached by all who do. above yields, for a node that is reached, those who reach it
// besides the edges: of relations there may be many, and few of them reach anything.
func (g *graph) close(above func(n node, yield func(from node, because *Row))) {
	var work []int32
	for i := range g.reach {
		g.reach[i] &^= unknown
		if g.reach[i] != 0 {
			work = append(work, int32(i))
		}
	}
	for len(work) > 0 {
		n := work[len(work)-1]
		work = work[:len(work)-1]
		pass := func(from int32, because *Row) {
			more := g.reach[n] &^ g.reach[from]
			if more == 0 {
				return
			}
			if more&Suspect != 0 {
				g.via[from] = &step{n, because}
			}
			g.reach[from] |= more
			work = append(work, from)
		}
		for _, l := range g.to[n] {
			pass(l.from, l.row)
		}
		above(g.keys[n], func(from node, because *Row) { pass(g.id(from), because) })
	}
}

// accesses are those by which a relation reaches something, and the first node of it that is suspect, -1 where none is.
func (g *graph) accesses(relation uint32) (a accesses, first int32) {
	first = -1
	for by := range each(anyAccess) {
		n, ok := g.ids[node{kind: 'r', oid: relation, by: by}]
		if !ok {
			continue
		}
		for bit := range a {
			if g.reach[n]&(1<<bit) != 0 {
				a[bit] |= by
			}
		}
		if first < 0 && g.reach[n]&Suspect != 0 {
			first = n
		}
	}
	return a, first
}

// each yields the accesses of a set.
func each(a sqlparse.Access) iter.Seq[sqlparse.Access] {
	return func(yield func(sqlparse.Access) bool) {
		for a != 0 {
			one := a & -a
			if !yield(one) {
				return
			}
			a &^= one
		}
	}
}
