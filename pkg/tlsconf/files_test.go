package tlsconf

import (
	"crypto/x509"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
)

// TestLoadErrors reads what is said of each file that cannot be used. DIR is the directory.
func TestLoadErrors(t *testing.T) {
	ca := certs.NewAuthority(t)
	one, other := ca.Server("db.test"), ca.Server("db.test")
	for name, tt := range map[string]struct {
		break_ func(d dir, s *Spec)
		want   string
	}{
		"good":           {func(dir, *Spec) {}, ""},
		"no certificate": {func(d dir, s *Spec) { os.Remove(s.CertFile) }, `certificate file "DIR/s.crt": no such file or directory`},
		"no key":         {func(d dir, s *Spec) { os.Remove(s.KeyFile) }, `private key file "DIR/s.key": no such file or directory`},
		"no authorities": {func(d dir, s *Spec) { s.CAFile = d.path + "/ca" }, `root certificate file "DIR/ca": no such file or directory`},
		"no list": {
			func(d dir, s *Spec) { s.CRLFile = d.path + "/crl" },
			`certificate revocation list file "DIR/crl": no such file or directory`,
		},
		"directory": {func(d dir, s *Spec) { s.CAFile = d.path }, `root certificate file "DIR": it is not a regular file`},
		"pipe": {func(d dir, s *Spec) {
			s.CAFile = d.path + "/pipe"
			must(d.t, syscall.Mkfifo(s.CAFile, 0o600))
		}, `root certificate file "DIR/pipe": it is not a regular file`},
		"open key": {
			func(d dir, s *Spec) { must(d.t, os.Chmod(s.KeyFile, 0o644)) },
			`private key file "DIR/s.key": it has group or world access; it must have permissions u=rw (0600) or less if owned by the current user, ` +
				`or permissions u=rw,g=r (0640) or less if owned by root`,
		},
		"other key": {
			func(d dir, s *Spec) { d.write("s.key", other.Key) },
			`private key file "DIR/s.key" with certificate file "DIR/s.crt": private key does not match public key`,
		},
		"empty certificate": {func(d dir, s *Spec) { d.write("s.crt") }, `certificate file "DIR/s.crt": there is no CERTIFICATE in it`},
		"broken certificate": {
			func(d dir, s *Spec) {
				d.write("s.crt", one.Cert, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
			},
			`certificate file "DIR/s.crt": CERTIFICATE number 2 in it: x509: malformed certificate`,
		},
		"certificate as key": {func(d dir, s *Spec) { d.write("s.key", one.Cert) }, `private key file "DIR/s.key": there is no private key in it`},
		"key as authorities": {func(d dir, s *Spec) { s.CAFile = s.KeyFile }, `root certificate file "DIR/s.key": there is no CERTIFICATE in it`},
		"key as list":        {func(d dir, s *Spec) { s.CRLFile = s.KeyFile }, `certificate revocation list file "DIR/s.key": there is no X509 CRL in it`},
		"too big": {func(d dir, s *Spec) {
			s.CRLFile = d.write("crl")
			must(d.t, os.Truncate(s.CRLFile, maxFile+1))
		}, `certificate revocation list file "DIR/crl": it has more than 67108864 bytes`},
		"both in one": {func(d dir, s *Spec) {
			s.CertFile = d.write("both", one.Key, one.Cert)
			s.KeyFile = s.CertFile
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDir(t)
			spec := Spec{Mode: Require, CAFile: d.write("ca.crt", ca.PEM)}
			spec.CertFile, spec.KeyFile = d.pair("s", one)
			tt.break_(d, &spec)
			_, server := (&Files{}).LoadServer(ServerSpec{spec})
			_, client := (&Files{}).LoadClient(ClientSpec{Spec: spec})
			for _, err := range []error{server, client} {
				if tt.want == "" && err == nil {
					continue
				}
				if err == nil || strings.ReplaceAll(err.Error(), d.path, "DIR") != tt.want {
					t.Errorf("got %v, want %s", err, tt.want)
				}
			}
		})
	}
}

// A fileInfo is of a file that needs no owner to be made.
type fileInfo struct {
	fs.FileInfo
	mode fs.FileMode
	uid  uint32
}

func (f fileInfo) Mode() fs.FileMode { return f.mode }
func (f fileInfo) Sys() any          { return &syscall.Stat_t{Uid: f.uid} }

func TestPrivate(t *testing.T) {
	for _, tt := range []struct {
		mode fs.FileMode
		uid  uint32
		ok   bool
	}{
		{0o600, 1000, true},
		{0o400, 1000, true},
		{0o640, 1000, false},
		{0o604, 1000, false},
		{0o610, 1000, false},
		{0o600, 0, true},
		{0o640, 0, true},
		{0o440, 0, true},
		{0o660, 0, false},
		{0o650, 0, false},
		{0o644, 0, false},
	} {
		if err := private(fileInfo{nil, tt.mode, tt.uid}); (err == nil) != tt.ok {
			t.Errorf("%o of %d: %v", tt.mode, tt.uid, err)
		}
	}
}

// TestChanged touches each file in each way in which files change.
func TestChanged(t *testing.T) {
	ca := certs.NewAuthority(t)
	pair := ca.Server("db.test")
	for name, change := range map[string]func(d dir, s Spec){
		"replaced":       func(d dir, s Spec) { d.write("s.crt", pair.Cert) },
		"written over":   func(d dir, s Spec) { must(d.t, os.WriteFile(s.CAFile, append(ca.PEM, '\n'), 0o600)) },
		"touched":        func(d dir, s Spec) { must(d.t, os.Chtimes(s.CRLFile, time.Time{}, time.Unix(1, 0))) },
		"removed":        func(d dir, s Spec) { must(d.t, os.Remove(s.KeyFile)) },
		"made readable":  func(d dir, s Spec) { must(d.t, os.Chmod(s.KeyFile, 0o644)) },
		"made a link":    func(d dir, s Spec) { link(d, "s.key", d.write("elsewhere", pair.Key)) },
		"link to a link": func(d dir, s Spec) { link(d, "ca.crt", link(d, "link", d.write("elsewhere", ca.PEM))) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDir(t)
			spec := Spec{Mode: Require, CAFile: d.write("ca.crt", ca.PEM), CRLFile: d.write("crl", ca.Revoke())}
			spec.CertFile, spec.KeyFile = d.pair("s", pair)
			s, err := (&Files{}).LoadServer(ServerSpec{spec})
			must(t, err)
			if s.Changed() {
				t.Fatal("nothing has changed")
			}
			change(d, spec)
			if !s.Changed() {
				t.Fatal("not noticed")
			}
			before := s.now.Load()
			if err := s.Reload(); err != nil && s.now.Load() != before {
				t.Error("what cannot be loaded is in force")
			}
			if s.Changed() {
				t.Error("noticed a second time: a timer would log the same error again and again")
			}
		})
	}
}

// TestVolume changes files as Kubernetes does with those of a Secret or ConfigMap: each is a link through the link ..data, which alone is replaced.
func TestVolume(t *testing.T) {
	ca := certs.NewAuthority(t)
	d := newDir(t)
	publish := func(version string, pair certs.Pair) {
		must(t, os.Mkdir(filepath.Join(d.path, version), 0o700))
		d.pair(version+"/tls", pair)
		d.write(version+"/ca.crt", ca.PEM)
		link(d, "..data", version)
	}
	first, second := ca.Server("db.test"), ca.Server("db.test")
	publish("..1", first)
	spec := Spec{Mode: VerifyCA, CertFile: link(d, "tls.crt", "..data/tls.crt"), KeyFile: link(d, "tls.key", "..data/tls.key"), CAFile: link(d, "ca.crt", "..data/ca.crt")}
	s, err := (&Files{}).LoadServer(ServerSpec{spec})
	must(t, err)
	if s.Changed() {
		t.Fatal("nothing has changed")
	}
	publish("..2", second)
	if !s.Changed() {
		t.Fatal("not noticed")
	}
	must(t, s.Reload())
	if _, cert := s.Current(); !cert.Equal(second.Leaf(t)) {
		t.Error("the first certificate is still in force")
	}
	must(t, os.RemoveAll(filepath.Join(d.path, "..1")))
	if s.Changed() {
		t.Error("what nobody uses any more counts")
	}
}

// link makes or replaces a symbolic link and returns its path.
func link(d dir, name, to string) string {
	d.t.Helper()
	path := filepath.Join(d.path, name)
	must(d.t, os.Symlink(to, path+".new"))
	must(d.t, os.Rename(path+".new", path))
	return path
}

// TestShared counts what is kept of files with the same content.
func TestShared(t *testing.T) {
	ca, other := certs.NewAuthority(t), certs.NewAuthority(t)
	d := newDir(t)
	f := &Files{}
	load := func(ca, crl []byte) *Client {
		c, err := f.LoadClient(ClientSpec{Spec: Spec{Mode: VerifyCA, CAFile: d.write("ca", ca), CRLFile: d.write("crl", crl)}})
		must(t, err)
		return c
	}
	list := ca.Revoke()
	a, b, c := load(ca.PEM, list), load(ca.PEM, list), load(other.PEM, ca.Revoke())
	if a.now.Load().cas != b.now.Load().cas || a.now.Load().crls != b.now.Load().crls {
		t.Error("the same content is kept twice")
	}
	if a.now.Load().cas == c.now.Load().cas || a.now.Load().crls == c.now.Load().crls {
		t.Error("different contents are one")
	}
	if len(f.authorities.held) != 2 || len(f.revocations.held) != 2 {
		t.Errorf("%d authorities, %d lists held, want 2", len(f.authorities.held), len(f.revocations.held))
	}
	runtime.KeepAlive([]*Client{a, b, c})

	a, b, c = nil, nil, nil
	for range 2 { // finds what died, and then that it was found
		runtime.GC()
	}
	d4 := load(other.PEM, list)
	if len(f.authorities.held) != 1 || len(f.revocations.held) != 1 {
		t.Errorf("%d authorities, %d lists held after all but one are gone", len(f.authorities.held), len(f.revocations.held))
	}
	runtime.KeepAlive(d4)
}

// TestSystem trusts what the machine does.
func TestSystem(t *testing.T) {
	ca := certs.NewAuthority(t)
	f := &Files{system: func() (*x509.CertPool, error) { return ca.Pool(), nil }}
	c, err := f.LoadClient(ClientSpec{Spec: Spec{Mode: VerifyFull, CAFile: System}})
	must(t, err)
	d := newDir(t)
	if o := handshake(t, d.server(f, ca, Spec{Mode: Require}).Config(), c.Config("db.test")); o.client != nil {
		t.Error(o.client)
	}
	stranger := certs.NewAuthority(t)
	cert, key := d.pair("stranger", stranger.Server("db.test"))
	o := handshake(t, d.server(f, ca, Spec{Mode: Require, CertFile: cert, KeyFile: key}).Config(), c.Config("db.test"))
	if reasonIn(o.client) != "unable to get local issuer certificate" {
		t.Error(o.client)
	}
	if _, err := (&Files{}).LoadClient(ClientSpec{Spec: Spec{Mode: VerifyFull, CAFile: System}}); err != nil {
		t.Errorf("with the real ones: %v", err)
	}
}
