package pin

import "maps"

// Reasons are why a session has to keep its server connection.
type Reasons struct {
	Have Set            // until a look at the connection, or its end, says otherwise
	by   map[string]Set // of one prepared statement until it is closed, by its name at the server; "" is the unnamed one
}

// Add notes the reason of one statement.
func (r *Reasons) Add(name string, why Set) {
	if r.by == nil {
		r.by = map[string]Set{}
	}
	r.by[name] = why
}

// Keep notes reasons that were found on the server connection, where a session may keep that. Otherwise dropped is what it loses.
func (r *Reasons) Keep(found Set, p Pinning) (dropped Set) {
	if p != Keep {
		return found
	}
	r.Have |= found
	return 0
}

// Of is the reason of one statement.
func (r *Reasons) Of(name string) Set { return r.by[name] }

// Statements is how many statements have a reason of their own.
func (r *Reasons) Statements() int { return len(r.by) }

// Remove forgets the reason of one statement.
func (r *Reasons) Remove(name string) {
	if len(r.by) > 0 {
		delete(r.by, name)
	}
}

// RemoveNamed forgets the reasons of all statements but the unnamed one.
func (r *Reasons) RemoveNamed() {
	maps.DeleteFunc(r.by, func(name string, _ Set) bool { return name != "" })
}

// All is every reason.
func (r *Reasons) All() Set {
	s := r.Have
	for _, why := range r.by {
		s |= why
	}
	return s
}

// Any says whether there is a reason.
func (r *Reasons) Any() bool { return r.Have != 0 || len(r.by) > 0 }
