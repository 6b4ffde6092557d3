package backend

// TryNext returns the next whole message that the server has sent on a leased connection; ok is false where none is there. The
// body is valid until the next call or park.
func (c *Conn) TryNext() (typ byte, body []byte, ok bool, err error) {
	typ, body, err = c.tryMessage()
	if err == errNothing {
		return 0, nil, false, nil
	}
	return typ, body, err == nil, err
}
