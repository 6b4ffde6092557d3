package sqltext_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// TestMomentsArePostgreSQLs makes literals of words that mean something to PostgreSQL's input of dates and times, and of what may
// stand between them. Where it takes one and the value is near to the time of now, that must be found.
func TestMomentsArePostgreSQLs(t *testing.T) {
	t.Parallel()
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	conn := connect(t, server, "options='-c timezone=UTC -c datestyle=iso'")
	if _, err := conn.Exec(t.Context(), "create type pair as (a timestamptz, b date)").ReadAll(); err != nil {
		t.Fatal(err)
	}
	words := []string{
		"now", "Today", "TOMORROW", "yesterday", "now", "today", "no", "w", "day", "epoch", "infinity", "allballs", "known", "nowt", "12:00", "am", "z", "utc", "+1", "2001-02-03", "bc",
		"jan", "at", "on", "t", "n\\ow", `n"o"w`, "dow",
	}
	between := []string{"", " ", " ", " ", "-", "/", ".", ",", "_", "+", "(", ")", "  ", "\t", "\n", ":", "'", "é", "\\", `"`, "1", "{", "}", "[", "@"}
	casts := []struct{ before, after, as string }{
		{"", "", "timestamptz"},
		{"", "", "date"},
		{"{", "}", "timestamp[]"},
		{"{2001-01-01,", "}", "date[]"},
		{"[2001-01-01,", ")", "tstzrange"},
		{"(,", "]", "daterange"},
		{"(", ",)", "pair"},
		{"(,", ")", "pair"},
		{"{\"(\\\"", "\\\",)\"}", "pair[]"},
	}
	rng := rand.New(rand.NewPCG(7, 8))
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	taken, moments := 0, 0
	for range 20_000 {
		literal := pick(between) + pick(words)
		for rng.IntN(2) == 0 {
			literal += pick(between) + pick(words)
		}
		c := casts[rng.IntN(len(casts))]
		literal = c.before + literal + pick(between) + c.after
		text := "select " + string(sqltext.QuoteLiteral(nil, literal)) + "::" + c.as + "::text"
		rs, err := conn.Exec(context.Background(), text).ReadAll()
		if err != nil {
			if !isRefusal(err) {
				t.Fatalf("%s: %v", text, err)
			}
			continue
		}
		taken++
		near := false
		for day := -2; day <= 2; day++ {
			near = near || strings.Contains(string(rs[0].Rows[0][0]), time.Now().UTC().AddDate(0, 0, day).Format(time.DateOnly))
		}
		if !near {
			continue
		}
		moments++
		_, found, ok := sqltext.Shape(make([]byte, 0, 200), []byte(text), true)
		if !ok || found&sqltext.FlagTimeWords == 0 || !sqltext.HasMoment(literal) {
			t.Errorf("%s is %s: found %b, %t, %t", text, rs[0].Rows[0][0], found, ok, sqltext.HasMoment(literal))
		}
	}
	t.Logf("%d literals taken, %d of them moments", taken, moments)
	if moments < 1000 || taken < moments+200 {
		t.Error("that is too few")
	}
}
