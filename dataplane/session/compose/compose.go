// Package compose makes output from input of which most goes through as it is: while nothing is cut or inserted the output is the input itself.
package compose

// Composer makes the output of one input. Both are valid until the next park.
type Composer struct {
	src  []byte
	from int    // what is before it is dealt with
	Dst  []byte // the output so far, for the caller to append to, once it is in use
	used bool   // dst holds the output so far
	cut  int    // the input ends here
}

// New begins with input src; scratch is where the output is put together if it has to be.
func New(src []byte, scratch []byte) Composer {
	return Composer{src: src, Dst: scratch[:0], cut: len(src)}
}

// UpTo takes the input before i over.
//
//go:noinline
func (c *Composer) UpTo(i int) {
	c.Dst = append(c.Dst, c.src[c.from:i]...)
	c.from = i
	c.used = true
}

// Skip leaves out the input between i and j.
func (c *Composer) Skip(i, j int) {
	if !c.used && i == c.from { // nothing before it: the output can still be a part of the input
		c.from = j
		return
	}
	c.UpTo(i)
	c.from = j
}

// Replace takes the input before i over and leaves out what is between i and j: what stands for that is
// appended to dst by the caller.
func (c *Composer) Replace(i, j int) {
	c.UpTo(i)
	c.from = j
}

// End says that the input from i on is not dealt with.
func (c *Composer) End(i int) { c.cut = i }

// Output returns what was composed. The Composer is done with.
func (c *Composer) Output(scratch *[]byte) []byte {
	from := min(c.from, c.cut)
	if !c.used {
		return c.src[from:c.cut]
	}
	return c.finish(from, scratch)
}

//go:noinline
func (c *Composer) finish(from int, scratch *[]byte) []byte {
	c.Dst = append(c.Dst, c.src[from:c.cut]...)
	*scratch = c.Dst
	return c.Dst
}

// Use says that something is appended to Dst with nothing of the input before it.
func (c *Composer) Use() { c.used = true }

// Taken says how far the input is dealt with.
func (c *Composer) Taken() int { return c.from }
