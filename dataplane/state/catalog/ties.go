package catalog

import "github.com/heliosproxy/heliosproxy/pkg/sqlparse"

// above yields who reaches a node of a relation because of how relations are tied to each other.
func (c *compiler) above(n node, yield func(from node, because *Row)) {
	switch n.kind {
	case 'k': // whether a row belongs to a partition
		for by := range each(anyAccess) {
			yield(node{kind: 'r', by: by, oid: n.oid}, nil)
		}
		for _, r := range c.ties[n.oid] {
			if r.What == InheritsRow && r.A == n.oid {
				yield(node{kind: 'k', oid: r.B}, r)
			}
		}
	case 'r':
		if n.by == sqlparse.Reads && c.kinds[n.oid] == "v" { // what is written through a view is found by reading it
			for by := range each(writes) {
				yield(node{kind: 'r', by: by, oid: n.oid}, nil)
			}
		}
		for _, r := range c.ties[n.oid] {
			there := func(from uint32, by sqlparse.Access) {
				for one := range each(by) {
					yield(node{kind: 'r', by: one, oid: from}, r)
				}
			}
			switch {
			case r.What == InheritsRow && r.B == n.oid:
				there(r.A, c.fromAbove(r.A, n.by))
			case r.What == ReferencesRow:
				if r.B == n.oid && n.by == sqlparse.Reads {
					there(r.A, sqlparse.Inserts|sqlparse.Updates) // is it there?
				}
				if r.A == n.oid {
					there(r.B, fromReferenced(r.X, n.by))
				}
			}
		}
	}
}

// fromAbove is what, done to a table, does by to the tables below it.
func (c *compiler) fromAbove(table uint32, by sqlparse.Access) sqlparse.Access {
	if c.kinds[table] != "p" {
		return by &^ sqlparse.Inserts // a row stays where it is put
	}
	if by&writes != 0 {
		by |= sqlparse.Updates // a row may move
	}
	return by
}

// fromReferenced is what, done to a table, does by to one that references it. actions are those of the foreign key: what an
// update there does and what a deletion does.
func fromReferenced(actions string, by sqlparse.Access) (from sqlparse.Access) {
	if len(actions) < 2 {
		return 0
	}
	sets := func(action byte) bool { return action == 'n' || action == 'd' }
	switch by {
	case sqlparse.Reads: // does a row reference it?
		return sqlparse.Updates | sqlparse.Deletes | sqlparse.Truncates
	case sqlparse.Truncates:
		return sqlparse.Truncates // CASCADE
	case sqlparse.Deletes:
		if actions[1] == 'c' {
			from |= sqlparse.Deletes
		}
	case sqlparse.Updates:
		if actions[0] == 'c' || sets(actions[0]) {
			from |= sqlparse.Updates
		}
		if sets(actions[1]) {
			from |= sqlparse.Deletes
		}
	}
	return from
}
