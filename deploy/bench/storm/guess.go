package storm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Guesses is how long wrong log-ins took.
type Guesses struct {
	Count  int            `json:"count"`
	Mean   float64        `json:"mean_us"`
	Error  float64        `json:"standard_error_us"`
	States map[string]int `json:"refused"`

	sum, squares float64
}

func (g *Guesses) note(err error, took time.Duration) {
	us := float64(took) / float64(time.Microsecond)
	g.Count++
	g.sum += us
	g.squares += us * us
	g.Mean = g.sum / float64(g.Count)
	g.Error = math.Sqrt(max(0, g.squares/float64(g.Count)-g.Mean*g.Mean) / float64(g.Count))
	g.States[kind(err)]++
}

// Guess tries wrong proofs n times, in turn as the user of o, as one who is not there, and as one who is not there and never was heard
// of, and writes what each of them took as JSON.
func Guess(o *Options, n int, to io.Writer) error {
	who := []string{"known", "unknown", "new"}
	got := map[string]*Guesses{}
	for _, w := range who {
		got[w] = &Guesses{States: map[string]int{}}
	}
	for i := range n {
		t := Target{Address: o.Address, Database: o.Database, TLS: o.TLS, User: o.User, wrong: true}
		w := who[i%len(who)]
		switch w {
		case "unknown":
			t.User = "nobody"
		case "new":
			t.User = fmt.Sprint("nobody", i)
		}
		begin := time.Now()
		err := t.once(begin.Add(o.Deadline))
		if err == nil {
			return errors.New("a wrong proof was taken")
		}
		got[w].note(err, time.Since(begin))
	}
	return json.NewEncoder(to).Encode(got)
}
