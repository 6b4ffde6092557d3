package exact

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// Systematic is how many sequences come first that each have a place of their own in the matrix of coverage.
const Systematic = int(states) * int(kinds)

// Generate makes the n-th sequence of a seed. The first ones bring each message into each state, the others are
// random. It depends on nothing else.
func Generate(seed, n uint64) Sequence {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, n)), params: map[string]int{}, name: fmt.Sprintf("seed %d, sequence %d", seed, n)}
	if n < uint64(Systematic) {
		return g.systematic(State(n/uint64(kinds)), Kind(n%uint64(kinds)))
	}
	return g.random()
}

// generator makes one sequence.
type generator struct {
	*rand.Rand
	name   string
	turns  []Turn
	blocks bool           // transaction blocks may be used
	params map[string]int // how many values the statement of a name takes, as far as is known
}

// turn adds a turn.
func (g *generator) turn(msgs ...[]byte) { g.turns = append(g.turns, msgs) }

// systematic brings a message of kind k into state s.
func (g *generator) systematic(s State, k Kind) Sequence {
	g.blocks = true
	msg := g.message(k)
	open := []byte(nil)
	switch s {
	case InTransaction, UnitInTransaction, SkippingInTransaction, SuspendedInTransaction, CopySimpleInTransaction, CopyUnitInTransaction:
		g.turn(pgscript.Query("BEGIN"))
	case FailedTransaction, UnitFailed, SkippingFailed:
		g.turn(pgscript.Query("BEGIN"))
		g.turn(pgscript.Query("SELECT 1/0"))
	}
	switch s {
	case UnitIdle, UnitInTransaction:
		g.turn(pgscript.Parse("a", "SELECT 'a'"), pgscript.Flush())
	case UnitFailed:
		g.turn(pgscript.CloseStatement("z"), pgscript.Flush())
	case SkippingIdle, SkippingInTransaction, SkippingFailed:
		g.turn(pgscript.DescribePortal("nope"))
		g.turn(pgscript.Flush())
	case SuspendedUnit:
		g.turn(pgscript.Parse("a", series), pgscript.Bind("p", "a"), pgscript.Execute("p", 2), pgscript.Flush())
	case SuspendedInTransaction:
		g.turn(pgscript.Parse("a", series), pgscript.Bind("p", "a"), pgscript.Execute("p", 2), pgscript.Sync())
	case CopySimpleIdle, CopySimpleInTransaction:
		g.turn(pgscript.Query(copyIn))
	case CopyUnitIdle, CopyUnitInTransaction:
		g.turn(pgscript.Parse("", copyIn), pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.Flush())
	case BehindRows:
		open = pgscript.Query(series)
	case BehindCopyOut:
		open = pgscript.Query("COPY t TO STDOUT")
	case BehindCopyIn:
		open = pgscript.Query(copyIn)
	case BehindError:
		open = pgscript.DescribePortal("nope")
	}
	if open != nil {
		g.turn(open, msg)
	} else {
		g.turn(msg)
	}
	if s == BehindError || g.IntN(2) == 0 { // the error is read in any case
		g.turn(pgscript.Sync())
	}
	return Sequence{Name: g.name, Turns: g.turns}
}

// Texts that states need.
const (
	series = "SELECT generate_series(1, 5)"
	copyIn = "COPY c FROM STDIN"
)

// message makes a message of a kind.
func (g *generator) message(k Kind) []byte {
	name, portal := g.statement(), g.portal()
	switch k {
	case Query:
		return pgscript.Query(g.text())
	case Parse:
		return g.parse(name, g.text())
	case Bind:
		return g.bind(portal, name)
	case DescribeStatement:
		return pgscript.DescribeStatement(name)
	case DescribePortal:
		return pgscript.DescribePortal(portal)
	case Execute:
		return pgscript.Execute(portal, g.limit())
	case CloseStatement:
		return pgscript.CloseStatement(name)
	case ClosePortal:
		return pgscript.ClosePortal(portal)
	case Sync:
		return pgscript.Sync()
	case Flush:
		return pgscript.Flush()
	case FunctionCall:
		return g.call()
	case CopyData:
		return pgscript.CopyData(g.pick("1\tone\n", "1\tone\n2\ttwo\n", "3\tth", "ree\n", "", "bad\n"))
	case CopyDone:
		return pgscript.CopyDone()
	case CopyFail:
		return pgscript.CopyFail("no more")
	case Terminate:
		return pgscript.Terminate()
	case Unknown:
		return pgscript.Frame(g.pick("z", "y", "!", "\x00", "p")[0], []byte("x"))
	case Malformed:
		return g.malformed()
	}
	return []byte(g.pick("Q\x00\x00\x00\x03", "S\x7f\x00\x00\x00", "E\xff\xff\xff\xff", "d\x00\x00\x00\x00"))
}

// malformed makes a message whose body is not of its type.
func (g *generator) malformed() []byte {
	for {
		raw := g.message(Kind(g.IntN(int(CopyFail))))
		body := raw[5:]
		switch g.IntN(3) {
		case 0:
			body = append(append([]byte{}, body...), 'x')
		case 1:
			body = body[:g.IntN(len(body)+1)]
		default:
			body = []byte("x")
		}
		if raw = pgscript.Frame(raw[0], body); kindOf(raw) == Malformed {
			return raw
		}
	}
}

func (g *generator) call() []byte {
	switch g.IntN(5) {
	case 0:
		return pgscript.FunctionCall(154, nil, [][]byte{[]byte("1"), []byte("0")}, 0) // division by zero
	case 1:
		return pgscript.FunctionCall(177, []int{1}, [][]byte{{0, 0, 0, 1}, {0, 0, 0, 2}}, 1)
	case 2:
		return pgscript.FunctionCall(99999, nil, nil, 0)
	}
	return pgscript.FunctionCall(177, nil, [][]byte{[]byte("1"), []byte("2")}, 0)
}

func (g *generator) pick(s ...string) string { return s[g.IntN(len(s))] }

func (g *generator) statement() string { return g.pick("", "", "a", "a", "b") }

func (g *generator) portal() string { return g.pick("", "", "", "p", "q") }

func (g *generator) limit() int { return max(0, g.IntN(5)-2) }

// text returns a text that the sequence may use.
func (g *generator) text() string {
	all := texts()
	for {
		sql := all[g.IntN(len(all))]
		if g.blocks || !strings.Contains(sql, "BEGIN") {
			return sql
		}
	}
}

func (g *generator) parse(name, sql string) []byte {
	g.params[name] = strings.Count(sql, "$1::") + strings.Count(sql, "$2::")
	if g.params[name] > 0 && g.IntN(4) == 0 {
		return pgscript.Parse(name, sql, 23)
	}
	return pgscript.Parse(name, sql)
}

// bind makes a Bind with as many values as the statement takes, most of the time.
func (g *generator) bind(portal, name string) []byte {
	n := g.params[name]
	if g.IntN(10) == 0 {
		n = g.IntN(3)
	}
	var values [][]byte
	for range n {
		values = append(values, [][]byte{[]byte("7"), []byte("0"), []byte("x"), nil}[min(3, g.IntN(12)/3)])
	}
	var results []int
	if g.IntN(6) == 0 {
		results = []int{g.IntN(2)}
	}
	return pgscript.BindFormats(portal, name, nil, values, results)
}

// random makes a sequence of moves, which are cut into turns without regard to where one ends.
func (g *generator) random() Sequence {
	g.blocks = g.IntN(3) > 0
	var t Turn
	for range 3 + g.IntN(10) {
		move := g.move()
		if cut := g.IntN(len(move) + 1); g.IntN(5) == 0 {
			g.turn(append(t, move[:cut]...)...)
			t = move[cut:]
			continue
		}
		t = append(t, move...)
		if g.IntN(3) > 0 {
			g.turn(t...)
			t = nil
		}
	}
	if len(t) > 0 {
		g.turn(t...)
	}
	s := Sequence{Name: g.name}
	for _, t := range g.turns {
		if len(t) > 0 {
			s.Turns = append(s.Turns, t)
		}
	}
	return s
}

// move makes some messages that belong together.
func (g *generator) move() Turn {
	switch n := g.IntN(20); {
	case n < 7:
		return Turn{pgscript.Query(g.text())}
	case n < 15:
		return g.unit()
	case n < 17:
		return g.copyDance()
	case n < 18:
		return Turn{g.call()}
	}
	return g.soup()
}

// unit makes what a driver sends for a statement, with something left out or put in now and then.
func (g *generator) unit() (t Turn) {
	name, portal := g.statement(), g.portal()
	for _, k := range []Kind{Parse, DescribeStatement, Bind, DescribePortal, Execute, Execute, CloseStatement, ClosePortal} {
		chance := map[Kind]int{Parse: 7, DescribeStatement: 2, Bind: 8, DescribePortal: 3, Execute: 6, CloseStatement: 1, ClosePortal: 1}[k]
		if g.IntN(9) >= chance {
			continue
		}
		switch k {
		case Parse:
			if name != "" && g.IntN(3) == 0 {
				t = append(t, pgscript.CloseStatement(name))
			}
			t = append(t, g.parse(name, g.text()))
		case DescribeStatement:
			t = append(t, pgscript.DescribeStatement(name))
		case Bind:
			t = append(t, g.bind(portal, name))
		case DescribePortal:
			t = append(t, pgscript.DescribePortal(portal))
		case Execute:
			t = append(t, pgscript.Execute(portal, g.limit()))
		default:
			t = append(t, g.message(k))
		}
		if g.IntN(12) == 0 {
			t = append(t, pgscript.Flush())
		}
	}
	if g.IntN(8) > 0 {
		t = append(t, pgscript.Sync())
	}
	return t
}

// copyDance makes a COPY, in either protocol, with Sync and Flush where they are ignored or not.
func (g *generator) copyDance() (t Turn) {
	extended := g.IntN(2) == 0
	if extended {
		t = Turn{pgscript.Parse("", copyIn), pgscript.Bind("", ""), pgscript.Execute("", 0)}
	} else {
		t = Turn{pgscript.Query(g.pick(copyIn, copyIn, "SELECT 1; COPY c FROM STDIN; SELECT 2"))}
	}
	for range g.IntN(6) {
		t = append(t, g.message([]Kind{CopyData, CopyData, CopyData, Sync, Flush}[g.IntN(5)]))
	}
	t = append(t, g.message([]Kind{CopyDone, CopyDone, CopyDone, CopyFail}[g.IntN(4)]))
	if extended || g.IntN(4) == 0 {
		t = append(t, pgscript.Sync())
	}
	return t
}

// soup makes anything.
func (g *generator) soup() (t Turn) {
	for range 1 + g.IntN(6) {
		k := Kind(g.IntN(int(Terminate)))
		switch g.IntN(40) {
		case 0:
			k = Terminate
		case 1:
			k = Unknown
		case 2, 3, 4:
			k = Malformed
		case 5:
			k = BadLength
		}
		t = append(t, g.message(k))
	}
	return t
}
