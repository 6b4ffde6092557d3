package pgwire

import "bytes"

// DescribesPortal says whether p begins with a Bind and a Describe of its portal, and the Bind asks for one format, whatever the
// number of columns.
func DescribesPortal(p []byte) bool {
	if len(p) < HeaderSize || p[0] != Bind {
		return false
	}
	end := HeaderSize + Body(p)
	if end < HeaderSize || len(p) < end+HeaderSize || p[end] != Describe {
		return false
	}
	n := Body(p[end:])
	if n < 2 || len(p) < end+HeaderSize+n {
		return false
	}
	described := p[end+HeaderSize : end+HeaderSize+n]
	portal, rest, ok := CString(p[HeaderSize:end])
	_, rest, ok2 := CString(rest)
	if !ok || !ok2 || described[0] != 'P' || !bytes.Equal(described[1:n-1], portal) {
		return false
	}
	formats, ok := ResultFormats(rest)
	return ok && formats <= 1
}

// StateClass returns the class of the SQLSTATE in the body of an ErrorResponse, its first two characters; zeroes where there is none.
func StateClass(body []byte) (class [2]byte) {
	for len(body) > 1 && body[0] != 0 {
		end := bytes.IndexByte(body, 0)
		if end < 0 {
			break
		}
		if body[0] == 'C' && end > 2 {
			return [2]byte(body[1:3])
		}
		body = body[end+1:]
	}
	return class
}

// PlanChanged says whether the body of an error tells that a statement returns something else than when it was parsed (plancache.c).
func PlanChanged(body []byte) bool {
	return bytes.Contains(body, []byte("\x00RRevalidateCachedQuery\x00"))
}
