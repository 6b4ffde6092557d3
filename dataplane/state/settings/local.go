package settings

import "github.com/heliosproxy/heliosproxy/pkg/sqltext"

// Local returns two queries, empty where nothing is to be done: one that puts what parsing reads to planner, and one that puts back what
// was in force before. reading is that, as [AppendPlanner] asks for it. Both set for the transaction alone: so what a SET LOCAL has set
// ends with the transaction still, and what a SET has set does not (guc.c, push_old_value). maybe says whether a parameter that planner
// has not may have another value than the server's default.
func Local(reading []byte, planner Set, maybe func(name string) bool) (to, back []byte) {
	values := literals(string(reading))
	if len(values) != len(plannerNames) {
		return nil, nil
	}
	for _, first := range [...]bool{true, false} { // who the session is decides what role it may take
		for i, n := range plannerNames {
			v, in := planner.Get(n)
			now := values[i]
			if (n == sessionAuthorization) != first || now == "NULL" || !in && !maybe(n) {
				continue
			}
			value := "NULL"
			if in {
				value = string(sqltext.QuoteLiteral(nil, v))
			}
			if value != now {
				to, back = appendLocal(to, n, value), appendLocal(back, n, now)
			}
		}
	}
	return to, back
}

// appendLocal appends that a parameter gets a value, which is an SQL literal, for the transaction.
func appendLocal(dst []byte, name, literal string) []byte {
	sep := ","
	if len(dst) == 0 {
		sep = "SELECT "
	}
	return append(dst, sep+"pg_catalog.set_config('"+name+"',"+literal+",true)"...)
}

// literals takes a list of SQL literals apart, as quote_nullable makes them: in those a quote is doubled.
func literals(list string) (all []string) {
	for from, i, quoted := 0, 0, false; i <= len(list); i++ {
		switch {
		case i == len(list) || list[i] == ',' && !quoted:
			all = append(all, list[from:i])
			from = i + 1
		case list[i] == '\'':
			quoted = !quoted
		}
	}
	return all
}
