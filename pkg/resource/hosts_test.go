package resource_test

import (
	"slices"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

func TestHosts(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string // nil: refused
	}{
		{"db", []string{"db:5432"}},
		{"db:5433", []string{"db:5433"}},
		{"10.0.0.1", []string{"10.0.0.1:5432"}},
		{"10.0.0.1:5433", []string{"10.0.0.1:5433"}},
		{"::1", []string{"[::1]:5432"}},
		{"[::1]", []string{"[::1]:5432"}},
		{"[0::1]:5433", []string{"[::1]:5433"}},
		{"fe80::1%eth0", []string{"[fe80::1%eth0]:5432"}},
		{"/run/postgresql", []string{"/run/postgresql:5432"}},
		{"a, b:5433,::1", []string{"a:5432", "b:5433", "[::1]:5432"}},
		{"", nil},
		{"a,", nil},
		{"a:", nil},
		{"a:0", nil},
		{"a:b", nil},
		{"[::1", nil},
		{"[a]", nil},
		{"-a", nil},
		{"a b", nil},
		{"::1:x", nil},
	} {
		all, err := resource.Hosts(tt.text, 5432)
		var got []string
		for _, h := range all {
			got = append(got, h.String())
		}
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
			t.Errorf("%q: got %v, %v", tt.text, got, err)
		}
	}
}
