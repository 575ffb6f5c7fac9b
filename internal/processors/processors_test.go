package processors

import (
	"runtime"
	"testing"
)

func want(t *testing.T, count int) {
	t.Helper()
	if got := runtime.GOMAXPROCS(0); got != count {
		t.Errorf("%d processors, want %d", got, count)
	}
}

// begin has the process begin with so many processors.
func begin(t *testing.T, count int) {
	t.Helper()
	before := runtime.GOMAXPROCS(count)
	t.Cleanup(func() {
		runtime.GOMAXPROCS(before)
		all = false
	})
}

func TestSpare(t *testing.T) {
	begin(t, 1)
	first := Spare()
	want(t, 2)
	second := Spare()
	first()
	want(t, 2)
	second()
	want(t, 1)
}

func TestThereAreMore(t *testing.T) {
	begin(t, 3)
	done := Spare()
	want(t, 3)
	done()
	want(t, 3)
}

func TestAllStay(t *testing.T) {
	begin(t, 1)
	done := Spare()
	All()
	every := runtime.GOMAXPROCS(0)
	Spare()()
	done()
	want(t, every)
}
