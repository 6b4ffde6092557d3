package expect

import "github.com/heliosproxy/heliosproxy/pkg/pgwire"

// Matters says whether the content of a server's message matters, and not its type alone.
func Matters(t byte) bool {
	const digits = 1<<pgwire.ParseComplete | 1<<pgwire.BindComplete | 1<<pgwire.CloseComplete
	const letters = 1<<(pgwire.ReadyForQuery-64) | 1<<(pgwire.ErrorResponse-64) | 1<<(pgwire.CommandComplete-64) |
		1<<(pgwire.ParameterStatus-64) | 1<<(pgwire.NoData-64) | 1<<(pgwire.EmptyQueryResponse-64) |
		1<<(pgwire.PortalSuspended-64) | 1<<(pgwire.CopyInResponse-64)
	return uint64(letters)>>(t-64)&1 != 0 || uint64(digits)>>t&1 != 0
}

// Continues says whether a client's message of the type goes on with what a Bind before it has begun, or ends it.
func Continues(t byte) bool {
	const types = 1<<(pgwire.Describe-64) | 1<<(pgwire.Execute-64) | 1<<(pgwire.Close-64) | 1<<(pgwire.Sync-64)
	return uint64(types)>>(t-64)&1 != 0
}

// PushOwn adds a query of the proxy's own in the middle of an extended unit, under a name: what pgwire.AppendOwn sends. into, which
// may be nil, gets the first column of its row; awaited says that the client's next message waits for that.
func (q *Queue) PushOwn(name string, into *[]byte, awaited bool) {
	for _, k := range [...]Kind{Parse, Bind, Execute, Close, Close} {
		a := Answer{Kind: k, Hidden: true, Name: name}
		if k == Execute {
			a.Into, a.Awaited = into, awaited
		}
		q.Push(a)
	}
}
