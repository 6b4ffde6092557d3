package meter

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// TestHistogram counts each time in one place, its bound included.
func TestHistogram(t *testing.T) {
	var h Histogram
	for i, b := range Bounds {
		if h.Add(b); h.Buckets[i] != 1 {
			t.Errorf("a time of %v ns: %v", b, h.Buckets)
		}
	}
	h.Add(int64(time.Hour))
	h.Add(0)
	if h.Buckets[len(Bounds)] != 1 || h.Buckets[0] != 2 || h.N() != uint64(len(Bounds)+2) {
		t.Errorf("an hour and none: %v", h.Buckets)
	}
	if sec := h.Sum / 1e9; sec < 3600 || sec > 3700 {
		t.Errorf("they are %v s together", sec)
	}
}

// TestSum adds every field of an account, those that are yet to come too.
func TestSum(t *testing.T) {
	var one, sum Account
	v := reflect.ValueOf(&one).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case f.Kind() == reflect.Uint64:
			f.SetUint(uint64(i + 1))
		case f.Kind() == reflect.Int64:
			f.SetInt(int64(i + 1))
		case v.Type().Field(i).Name == "Errors":
			one.Failed([2]byte{'4', '2'})
		case v.Type().Field(i).Name == "Phases":
			for p := range one.Phases {
				for k := range Bounds {
					one.Phases[p].Add(Bounds[k] + int64(p))
				}
			}
		default:
			t.Fatalf("field %s is of a kind that Sum does not know", v.Type().Field(i).Name)
		}
	}
	if sum.Sum(&one); !reflect.DeepEqual(sum, one) {
		t.Errorf("%+v added to nothing is %+v", one, sum)
	}
	sum.Sum(&one)
	if sum.Queries != 2*one.Queries || sum.Failures() != 2 || sum.Phases[Client].N() != 2*one.Phases[Client].N() || sum.Phases[Server].Sum != 2*one.Phases[Server].Sum {
		t.Errorf("added twice: %+v", sum)
	}
}

// TestAdd adds every field, those that are yet to come too.
func TestAdd(t *testing.T) {
	var one, sum Loop
	v := reflect.ValueOf(&one).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Uint64:
			f.SetUint(uint64(i + 1))
		case reflect.Array:
			for j := range f.Len() {
				f.Index(j).SetUint(uint64(100*i + j))
			}
		case reflect.Struct:
			one.Denied = Denied{[16]string{"28000", "3D000"}, [16]uint64{1, 2}, 3}
		default:
			t.Fatalf("field %s is of a kind that Add does not know", v.Type().Field(i).Name)
		}
	}
	if sum.Add(&one); sum != one {
		t.Errorf("%+v added to nothing is %+v", one, sum)
	}
	if sum.Add(&one); sum.Logins != 2*one.Logins || sum.Pinned[0] != 2*one.Pinned[0] {
		t.Errorf("added twice: %+v", sum)
	}
}

// TestUnadmit counts log-ins by whose error the client was told, and of servers' SQLSTATEs so many as there are places.
func TestUnadmit(t *testing.T) {
	var a, b Loop
	a.Unadmit(nil, nil)
	a.Unadmit(pgerr.New(pgerr.TooManyClients, "x"), &pgwire.ServerError{SQLState: "28000"})
	for i := range 20 {
		for range 2 {
			a.Unadmit(nil, &pgwire.ServerError{SQLState: fmt.Sprintf("28P%02d", i)})
		}
	}
	a.Unadmit(nil, &pgwire.ServerError{SQLState: "28p0\xff"})
	b.Unadmit(nil, &pgwire.ServerError{SQLState: "28P15"})
	b.Unadmit(nil, &pgwire.ServerError{SQLState: "28P19"})
	b.Add(&a)
	sums := map[string]uint64{}
	for i, n := range b.Denied.Counts {
		sums[b.Denied.States[i]] += n
	}
	if b.Unadmitted[pgerr.TooManyClients] != 1 || len(sums) != 16 || sums["28P15"] != 3 || sums["28P19"] != 1 || sums["28P00"] != 2 || sums["28P14"] != 0 || b.Denied.Others != 2*6-2+1 {
		t.Errorf("got %v, %d others", sums, b.Denied.Others)
	}
}
