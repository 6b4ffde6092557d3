package e2e

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// pgbench runs pgbench through the proxy and fails the test unless every transaction succeeded.
func pgbench(t *testing.T, p *Proxy, args ...string) {
	t.Helper()
	cmd := exec.Command(postgresProgram(t, "pgbench"), args...)
	cmd.Env = p.Env()
	out, err := cmd.CombinedOutput()
	text := string(out)
	if err != nil || regexp.MustCompile(`(?i)error|abort|fatal`).MatchString(text) {
		t.Errorf("pgbench %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	if m := regexp.MustCompile(`number of failed transactions: (\d+)`).FindStringSubmatch(text); m != nil && m[1] != "0" {
		t.Errorf("pgbench %s: %s transactions failed", strings.Join(args, " "), m[1])
	}
	if m := regexp.MustCompile(`tps = (\d+)`).FindStringSubmatch(text); m != nil {
		t.Logf("%s tps: pgbench %s", m[1], strings.Join(args, " "))
	}
}

// TestManyClientsShareFewConnections: 200 clients of every protocol never have more than the 20 server connections allowed.
func TestManyClientsShareFewConnections(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{MaxConnections: 20})
	stop := WatchConnections(t, server)

	pgbench(t, proxy, "-i", "-q", "-s", full("10", "1"))
	pipelined := writeFile(t, "pipeline.sql", `\set aid random(1, 100000)
\startpipeline
select abalance from pgbench_accounts where aid = :aid;
update pgbench_accounts set abalance = abalance + 1 where aid = :aid;
select 1;
select abalance from pgbench_accounts where aid = :aid;
\endpipeline
`)
	load := []string{"-n", "-c", "200", "-j", "2", "-T", full("20", "3")}
	for _, protocol := range []string{"simple", "extended", "prepared"} {
		t.Run(protocol, func(t *testing.T) { pgbench(t, proxy, append(load, "-M", protocol)...) })
		t.Run(protocol+"-select", func(t *testing.T) { pgbench(t, proxy, append(load, "-S", "-M", protocol)...) })
	}
	for _, protocol := range []string{"extended", "prepared"} {
		t.Run("pipeline-"+protocol, func(t *testing.T) { pgbench(t, proxy, append(load, "-M", protocol, "-f", pipelined)...) })
	}
	switch most := stop(); {
	case most > 20:
		t.Errorf("%d server connections at one moment, 20 allowed", most)
	case most < 10:
		t.Errorf("at most %d server connections seen: nothing was measured", most)
	default:
		t.Logf("at most %d server connections", most)
	}
	sums := server.Query(t, `select (select sum(bbalance) from pgbench_branches) = (select sum(tbalance) from pgbench_tellers),
		(select sum(bbalance) from pgbench_branches) = (select sum(delta) from pgbench_history)`)
	if sums[0][0] != "t" || sums[0][1] != "t" {
		t.Errorf("the balances do not agree: %v", sums)
	}
}
