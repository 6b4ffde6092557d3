package pgbouncer

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
)

// TestLive holds what is read and refused, and the line, against PgBouncer itself. It is for where one is installed; it was written with 1.18.
func TestLive(t *testing.T) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			t.Skip("no pgbouncer is installed")
		}
	}
	// With these lines PgBouncer has nowhere to listen, or may not run as root, and ends by itself.
	const tail = "[pgbouncer]\nunix_socket_dir=\nauth_type=trust\n"
	const own = tail + "max_client_conn=7\n"
	for _, text := range []string{
		"[databases]\na=\n",
		"[databases]\na = host=b\tport=5\n",
		"[databases]\na = host= port=5\n",
		"[databases]\na = host=b connect_query='select ''x'''\n",
		"[databases]\na = host='b'port=5\n",
		"[databases]\na = host='b\n",
		"[databases]\na = host=''\n",
		"[databases]\na = port=0\n",
		"[databases]\na = pool_mode=fast\n",
		"[databases]\na = bogus=1\n",
		"[databases]\na b = host=c\n",
		"[databases]\na\n",
		"[databases\na=\n",
		"[databases] a = host=b\n",
		"[databases]\na.b-c_d = host=b ; no comment\n",
		"[databases]\n; c\n# d\n  a = host=b\n",
		"[databases]\npgbouncer = host=b\n",
		"[users]\nann = pool_mode=Session max_user_connections=x\n",
		"[users]\nann = speed=1\n",
		"[foo]\na=1\n",
		"a=1\n",
		"%inclde x\n",
		"%include nowhere\n",
		"%include   included  \nmax_client_conn=8\n",
		own + "verbos=1\n",
		own + "max_client_conn=\n",
		own + "max_client_conn=10 ; c\n",
		own + "max_client_conn=0x10\n",
		own + "max_client_conn=1e3\n",
		own + "default_pool_size= 5 \n",
		own + "pool_mode=TRANSACTION\n",
		own + "pool_mode=fast\n",
		own + "query_timeout=-1\n",
		own + "query_timeout=1.5\n",
		own + "query_timeout=1.5x\n",
		own + "auth_type=crypt5\n",
		own + "client_tls_sslmode=on\n",
	} {
		dir := t.TempDir()
		for name, content := range map[string]string{"ini": text + tail, "included": "[pgbouncer]\nmax_client_conn=9\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(program, "ini")
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput()
		refused, want := strings.Contains(string(out), "cannot load config file"), 0
		if at := regexp.MustCompile(`\(ini:(\d+)\)`).FindSubmatch(out); refused && at != nil {
			want, _ = strconv.Atoi(string(at[1]))
		}
		got := 0
		for _, f := range Load("ini", Options{Dir: dir, ReadFile: os.ReadFile, Key: configfile.Key}).Findings {
			unknown := f.Severity == warning && strings.HasPrefix(f.Sentence, "unknown parameter") // passed over, and told
			if (f.Severity == failure || unknown) && f.Line <= strings.Count(text, "\n") && got == 0 {
				got = f.Line
			}
		}
		if text == "[databases]\na = host= port=5\n" || text == "[databases]\na=\n" {
			got = 0 // a host named port=5, and none at all without unix_socket_dir, are refused here
		}
		if got != want {
			t.Errorf("%q: an error in line %d, PgBouncer's in line %d:\n%s", text, got, want, out)
		}
	}
}
