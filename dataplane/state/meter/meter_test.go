package meter

import (
	"reflect"
	"testing"
	"time"
)

// TestWait counts each wait in one place, its bound included.
func TestWait(t *testing.T) {
	var m Loop
	for i, b := range WaitBounds {
		m.Wait(int64(b * 1e9))
		if m.Waits[i] != 1 {
			t.Errorf("a wait of %v s: %v", b, m.Waits)
		}
	}
	m.Wait(int64(time.Hour))
	m.Wait(0)
	if m.Waits[len(WaitBounds)] != 1 || m.Waits[0] != 2 {
		t.Errorf("an hour and none: %v", m.Waits)
	}
	if m.WaitSum < 3600 || m.WaitSum > 3700 {
		t.Errorf("the waits took %v s together", m.WaitSum)
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
		case reflect.Float64:
			f.SetFloat(float64(i + 1))
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
	if sum.Add(&one); sum.Queries != 2*one.Queries || sum.Waits[3] != 2*one.Waits[3] {
		t.Errorf("added twice: %+v", sum)
	}
}
