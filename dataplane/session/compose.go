package session

// composer makes output from input of which most goes through as it is. While nothing is cut or
// inserted the output is the input itself.
type composer struct {
	src  []byte
	from int // what is before it is dealt with
	dst  []byte
	used bool // dst holds the output so far
	cut  int  // the input ends here
}

func compose(src []byte, scratch []byte) composer {
	return composer{src: src, dst: scratch[:0], cut: len(src)}
}

// upTo takes the input before i over.
func (c *composer) upTo(i int) {
	c.dst = append(c.dst, c.src[c.from:i]...)
	c.from = i
	c.used = true
}

// skip leaves out the input between i and j.
func (c *composer) skip(i, j int) {
	if !c.used && i == c.from { // nothing before it: the output can still be a part of the input
		c.from = j
		return
	}
	c.upTo(i)
	c.from = j
}

// replace takes the input before i over and leaves out what is between i and j: what stands for that is
// appended to dst by the caller.
func (c *composer) replace(i, j int) {
	c.upTo(i)
	c.from = j
}

// end says that the input from i on is not dealt with.
func (c *composer) end(i int) { c.cut = i }

// output returns what was composed. The composer is done with.
func (c *composer) output(scratch *[]byte) []byte {
	from := min(c.from, c.cut)
	if !c.used {
		return c.src[from:c.cut]
	}
	c.dst = append(c.dst, c.src[from:c.cut]...)
	*scratch = c.dst
	return c.dst
}
