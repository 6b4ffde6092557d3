package metrics

import (
	"flag"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/metricdoc"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

// TestDocs has each metric of a proxy on the page.
func TestDocs(t *testing.T) {
	metricdoc.Check(t, newCollector(nil, ""), "../../../docs/metrics.md", "proxy", *update)
}
