package exact

import "time"

// Shrink takes turns and messages out of the sequence of a finding for as long as something differs at the same target,
// and returns what is left. It gives up after limit. What does not happen again with new sessions is returned as it is.
func Shrink(h *Harness, f *Finding, limit time.Duration) *Finding {
	alone := &Harness{Oracle: h.Oracle, Targets: []Target{f.Target}, Login: h.Login, Wait: min(h.Wait, 2*time.Second), Wary: true}
	defer alone.Close()
	until := time.Now().Add(limit)
	try := func(s Sequence) bool {
		if time.Now().After(until) {
			return false
		}
		found, err := alone.Play(s)
		if err != nil || len(found) == 0 {
			return false
		}
		f = found[0]
		return true
	}
	if !try(f.Sequence) {
		return f
	}
	for shrunk := true; shrunk; {
		shrunk = false
		for i := len(f.Sequence.Turns) - 1; i >= 0; i-- {
			shrunk = try(without(f.Sequence, i, -1)) || shrunk
		}
		for i := len(f.Sequence.Turns) - 1; i >= 0; i-- {
			for k := len(f.Sequence.Turns[i]) - 1; k >= 0 && len(f.Sequence.Turns[i]) > 1; k-- {
				shrunk = try(without(f.Sequence, i, k)) || shrunk
			}
		}
	}
	return f
}

// without returns the sequence without a turn, or without one message of it.
func without(s Sequence, turn, message int) Sequence {
	out := Sequence{Name: s.Name, Servers: s.Servers}
	for i, t := range s.Turns {
		switch {
		case i != turn:
			out.Turns = append(out.Turns, t)
		case message >= 0:
			out.Turns = append(out.Turns, append(append(Turn{}, t[:message]...), t[message+1:]...))
		}
	}
	return out
}
