package compose

// longestUnit bounds a unit that is copied, in bytes.
const longestUnit = 4 << 10

// most bounds how often a unit is sent again: where a table changes all the time, it may have changed once more.
const most = 10

// Unit is a copy of a unit of messages, to be sent again. It is made if all of the unit is in one input.
type Unit struct {
	Bytes []byte
	open  bool
	at    int  // where it begins
	times int  // how often it was sent again
	again bool // the next one is the same one
}

// Begin says that a unit begins at i.
func (u *Unit) Begin(i int) { u.open, u.at = true, i }

// Break says that it is none that could be sent again, or that another input comes.
func (u *Unit) Break() { u.open = false }

// End copies the unit, which ends before p[end:].
//
//go:noinline
func (u *Unit) End(p []byte, end int) {
	if !u.again {
		u.times = 0
	}
	if u.open && u.times < most && end-u.at <= longestUnit {
		u.Bytes = append(u.Bytes[:0], p[u.at:end]...)
	}
	u.open, u.again = false, false
}

// Again returns input with the unit in front, which is sent again.
func (u *Unit) Again(input []byte) []byte {
	input = append(append([]byte(nil), u.Bytes...), input...)
	u.Forget()
	u.times++
	u.again = true
	return input
}

// Forget forgets the copy.
func (u *Unit) Forget() { u.Bytes = u.Bytes[:0] }
