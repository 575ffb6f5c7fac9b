package keyed

import (
	"sync"
	"testing"
)

func TestSameKeyExcludes(t *testing.T) {
	t.Parallel()
	var m Mutex
	var wg sync.WaitGroup
	n := 0
	for range 100 {
		wg.Go(func() {
			defer m.Lock("a")()
			n++
		})
	}
	wg.Wait()
	if n != 100 {
		t.Errorf("n = %d, want 100", n)
	}
}

func TestOtherKeyDoesNotWait(t *testing.T) {
	t.Parallel()
	var m Mutex
	defer m.Lock("a")()
	m.Lock("b")()
}

func TestMemoryDoesNotGrow(t *testing.T) {
	t.Parallel()
	var m Mutex
	unlock := m.Lock("a")
	waited := make(chan struct{})
	go func() {
		m.Lock("a")()
		close(waited)
	}()
	unlock()
	unlock()
	<-waited
	if len(m.entries) != 0 {
		t.Errorf("%d entries left, want none", len(m.entries))
	}
}
