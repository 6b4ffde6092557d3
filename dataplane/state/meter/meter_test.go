package meter

import (
	"reflect"
	"testing"
	"time"
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
