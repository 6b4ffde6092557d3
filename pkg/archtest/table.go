package archtest

// An edge lets the packages of one list import those of another. Lists are patterns; see match.
type edge struct{ from, to, why string }

// The sets of packages that the table speaks of.
const (
	rooms = "dataplane/accept/... dataplane/startup/... dataplane/auth/... dataplane/session/... dataplane/pipeline/... " +
		"dataplane/pool/... dataplane/backend/... dataplane/relay/... dataplane/continuity/... dataplane/observe/... " +
		"dataplane/probe/... dataplane/lookup/... dataplane/listen/... dataplane/peers/... dataplane/console/... " +
		"dataplane/localadmin/... dataplane/gateway/... dataplane/configsync/... dataplane/feed/... dataplane/report/... " +
		"dataplane/replication/... dataplane/judge/... dataplane/resolve/..."

	leaves = "dataplane/query dataplane/reactor dataplane/state/*"

	libraries = "pkg/... proto/gen/go/... !pkg/testkit/... !pkg/archtest"

	// walks are the packages whose code runs in coroutines of an event loop: whoever waits there stops every session of the loop.
	walks = "dataplane/serve/... dataplane/session/... dataplane/relay/... dataplane/replication/... dataplane/startup/... dataplane/auth/... " +
		"dataplane/pipeline/..."
)

// edges is the table of who may import whom inside the module. What is not in it is forbidden.
func edges() []edge {
	return []edge{
		{"deploy/standalone/...", "dataplane/assembly controlplane/assembly", "it alone holds both planes, and sees of each the assembly"},
		{"deploy/standalone/...", "controlplane/configfile controlplane/pgbouncer", "standalone, a file is what states the desired state"},
		{"deploy/standalone/...", "deploy/standalone/...", "the program's own parts"},
		{"deploy/standalone/...", libraries, "everybody may use the libraries"},

		{"deploy/bench/...", "deploy/bench/... " + libraries, "what is measured is measured by programs of their own"},
		{"deploy/exact/...", "deploy/exact/... pkg/testkit/pgscript pkg/testkit/faultconn", "a harness is for tests, and speaks the protocol as they do"},

		{"dataplane/assembly/...", "dataplane/... !dataplane/cmd/... !dataplane/assembly/stage", "the assembly wires all rooms of its plane"},
		{"dataplane/assembly/stage", "pkg/testkit/...", "what tests of a whole proxy are played on is for tests too"},
		{"dataplane/serve", "dataplane/serve/...", "the corridor's own parts"},
		{"dataplane/serve/ledger", "dataplane/pool " + leaves, "an account is that of a pool's clients"},
		{"dataplane/serve/inquiry", leaves + " dataplane/lookup dataplane/snapshot", "it asks as the configuration says"},
		{"dataplane/serve/changeover", "dataplane/backend dataplane/pool dataplane/session " + leaves, "it stands between a session and a server connection of a pool"},
		{"dataplane/serve/later", leaves, "it cancels what a loop does"},
		{"dataplane/serve/showing", "dataplane/backend dataplane/console dataplane/pool " + leaves, "what it shows, and to whom"},
		{"dataplane/serve/clock", leaves + " dataplane/snapshot", "what the configuration says of times"},
		{"dataplane/serve", rooms + " " + leaves + " dataplane/snapshot", "the corridor walks through every room"},
		{"dataplane/snapshot", rooms + " " + leaves, "a snapshot is compiled by each room's Compile"},
		{rooms, leaves, "a leaf is what rooms share"},
		{leaves, leaves, "leaves may build on leaves"},
		{"dataplane/reactor", "dataplane/reactor/sys dataplane/reactor/watch", "the reactor's own parts"},
		{"dataplane/...", libraries, "everybody may use the libraries"},

		{"dataplane/session", "dataplane/session/...", "the machine's own parts"},
		{"dataplane/session/carry", "dataplane/session dataplane/session/expect", "it writes the machine down"},
		{"dataplane/session/doubt", "dataplane/session/compose dataplane/session/expect", "a part that works on what is to be answered"},
		{"dataplane/session/told", "dataplane/session/expect dataplane/session/names", "what is told is an answer, about a name"},
		{"dataplane/session/stock", "dataplane/session/compose dataplane/session/expect", "a part that works on what is to be answered"},
		{"dataplane/session/strays", "dataplane/session/compose dataplane/session/expect", "a part that works on what is to be answered"},
		{"dataplane/pipeline/...", "dataplane/pipeline", "a stage implements the pipeline's interface"},
		{
			"dataplane/pool dataplane/relay dataplane/probe dataplane/lookup dataplane/listen dataplane/continuity", "dataplane/backend",
			"these hold server connections",
		},
		{"dataplane/continuity", "dataplane/relay", "a replay is relayed"},
		{"dataplane/judge", "dataplane/auth", "who judges log-ins is asked by auth, which knows nobody who does"},

		{"controlplane/...", "controlplane/...", "the control plane's own order comes with the control plane"},
		{"controlplane/...", libraries, "everybody may use the libraries"},

		{"pkg/...", libraries, "libraries build on libraries and know no plane"},
		{"pkg/testkit/...", "pkg/testkit/...", "the test kit builds on itself"},
		{"proto/gen/go/...", "proto/gen/go/...", "messages refer to messages"},
		{"controlplane/cmd/helioctl/...", "proto", "explain prints what the contracts say"},
	}
}

// testEdges is what tests may import beside what their package may.
func testEdges() []edge {
	return []edge{
		{"dataplane/... controlplane/... pkg/... deploy/... proto/...", "pkg/testkit/...", "the test kit is for tests"},
		{"dataplane/serve dataplane/assembly/...", "dataplane/...", "what walks through all rooms is tested with all rooms"},
		{"deploy/exact deploy/leaks", "dataplane/assembly dataplane/reactor " + libraries, "a proxy that is compared runs in the test's process"},
	}
}

// A fence keeps a package, or some names of one, inside a few of ours.
type fence struct {
	what   string   // import paths, as patterns
	names  []string // only these names of them; nil means the import itself
	inside string   // ours that may
	tests  bool     // so may the tests of every package
	why    string
}

func fences() []fence {
	return []fence{
		{
			what: "github.com/jackc/pgproto3/...", inside: "pkg/pgwire",
			why: "one package frames and decodes, so that its limits hold everywhere",
		},
		{
			what: "github.com/jackc/pgx/...", inside: "pkg/testkit/... dataplane/assembly/stage", tests: true,
			why: "a driver is for tests: the proxy speaks the protocol itself",
		},
		{
			what: "github.com/tetratelabs/wazero/...", inside: "dataplane/pipeline/plugin/... dataplane/cmd/helios-plugin/...",
			why: "foreign code runs in one room",
		},
		{
			what: "github.com/pganalyze/pg_query_go/... github.com/wasilibs/go-pgquery/...", inside: "pkg/sqlparse",
			why: "the grammar is big and slow: one package decides when it is asked",
		},
		{
			what: "go.etcd.io/...", inside: "controlplane/store/etcd controlplane/store/embedded controlplane/election",
			why: "a store is an interface to everybody else",
		},
		{
			what: "golang.org/x/sys/unix", inside: "dataplane/reactor/...",
			why: "one leaf owns descriptors",
		},
		{
			what: "syscall", inside: "dataplane/reactor/...",
			names: []string{"Syscall", "Syscall6", "RawSyscall", "RawSyscall6", "Read", "Write", "EpollWait", "Accept4"},
			why:   "one leaf owns descriptors",
		},
		{
			what: "github.com/prometheus/client_golang/...", inside: "dataplane/observe/metrics controlplane/metrics pkg/testkit/metricdoc",
			why: "rooms count into plain integers of their loop",
		},
	}
}
