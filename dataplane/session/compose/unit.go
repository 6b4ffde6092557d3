package compose

// longestUnit bounds a unit that is copied, in bytes.
const longestUnit = 4 << 10

// Unit is a copy of a unit of messages, to be sent again. It is made if all of the unit is in one input.
type Unit struct {
	Bytes []byte
	open  bool
	at    int  // where it begins
	again bool // the next one was sent before
}

// Begin says that a unit begins at i.
func (u *Unit) Begin(i int) { u.open, u.at = true, i }

// Break says that it is none that could be sent again, or that another input comes.
func (u *Unit) Break() { u.open = false }

// End copies the unit, which ends before p[end:].
//
//go:noinline
func (u *Unit) End(p []byte, end int) {
	if u.open && !u.again && end-u.at <= longestUnit {
		u.Bytes = append(u.Bytes[:0], p[u.at:end]...)
	}
	u.open, u.again = false, false
}

// Again returns input with the unit in front, which is sent again: once.
func (u *Unit) Again(input []byte) []byte {
	input = append(append([]byte(nil), u.Bytes...), input...)
	u.Forget()
	u.again = true
	return input
}

// Forget forgets the copy.
func (u *Unit) Forget() { u.Bytes = u.Bytes[:0] }
