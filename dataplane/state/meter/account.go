package meter

// Account is what one loop has counted of the clients of a database who are one user at the server.
type Account struct {
	Queries      uint64 // Query, Execute and FunctionCall messages
	Transactions uint64
	Assignments  uint64 // times that a server connection was lent to one of them
	Parses       uint64 // Parse messages of clients
	ServerParses uint64 // Parse messages that the proxy has sent for them to servers
	Binds        uint64
	FromClient   uint64 // bytes
	ToClient     uint64

	TransactionTime int64 // nanoseconds of transactions, from the first statement until the server connection is free again
	Phases          [PhaseCount]Histogram
	Errors          map[[2]byte]uint64 // ErrorResponses of servers, by the class of their SQLSTATE
}

// Phase is something that a statement's time goes to.
type Phase int

// The phases. Together they are the time from when the proxy reads the beginning of a statement until the kernel has the end of its
// answer.
const (
	Queue   Phase = iota // waiting for a server connection that others have
	Connect              // waiting for one that is opened
	Server               // waiting for the server
	Client               // waiting for the client, that it reads what is there for it, or sends what the server waits for
	PhaseCount
)

// String returns the name that metrics have for it.
func (p Phase) String() string { return [...]string{"queue", "connect", "server", "client"}[p] }

// Bounds are the upper bounds of the buckets of a histogram, in nanoseconds.
var Bounds = [...]int64{100e3, 250e3, 500e3, 1e6, 2500e3, 5e6, 10e6, 25e6, 50e6, 100e6, 250e6, 500e6, 1e9, 2500e6, 5e9, 10e9, 30e9}

// Histogram counts times, by bound; the last bucket is beyond all.
type Histogram struct {
	Buckets [len(Bounds) + 1]uint64
	Sum     int64 // nanoseconds
}

// Add counts a time in nanoseconds.
func (h *Histogram) Add(ns int64) {
	h.Sum += ns
	i := 0
	for i < len(Bounds) && ns > Bounds[i] {
		i++
	}
	h.Buckets[i]++
}

// N is how many times were counted.
func (h *Histogram) N() (n uint64) {
	for _, k := range h.Buckets {
		n += k
	}
	return n
}

// Failed counts an error by its SQLSTATE.
func (a *Account) Failed(class [2]byte) {
	if a.Errors == nil {
		a.Errors = map[[2]byte]uint64{}
	}
	a.Errors[class]++
}

// Failures is how many errors were counted.
func (a *Account) Failures() (n uint64) {
	for _, k := range a.Errors {
		n += k
	}
	return n
}

// Sum adds what o has counted.
func (a *Account) Sum(o *Account) {
	a.Queries += o.Queries
	a.Transactions += o.Transactions
	a.Assignments += o.Assignments
	a.Parses += o.Parses
	a.ServerParses += o.ServerParses
	a.Binds += o.Binds
	a.FromClient += o.FromClient
	a.ToClient += o.ToClient
	a.TransactionTime += o.TransactionTime
	for p := range a.Phases {
		for i, n := range o.Phases[p].Buckets {
			a.Phases[p].Buckets[i] += n
		}
		a.Phases[p].Sum += o.Phases[p].Sum
	}
	for class, n := range o.Errors {
		if a.Errors == nil {
			a.Errors = map[[2]byte]uint64{}
		}
		a.Errors[class] += n
	}
}
