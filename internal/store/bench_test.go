package store

import (
	"fmt"
	"path/filepath"
	"testing"
)

// benchmarkRecords has a collection with so many records.
func benchmarkRecords(b *testing.B, many int) *Collection[thing] {
	b.Helper()
	c := things(b, open(b, filepath.Join(b.TempDir(), "db")), CollectionConfig{Schema: 1})
	for i := range many {
		if err := c.Put(fmt.Sprintf("%04d", i), thing{Name: fmt.Sprint(i)}); err != nil {
			b.Fatal(err)
		}
	}
	return c
}

// What is acknowledged is on disk: this is the disk's time for the most part.
func BenchmarkPut(b *testing.B) {
	c := benchmarkRecords(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Put("one", thing{Name: "one"}); err != nil {
			b.Fatal(err)
		}
	}
}

// The same for many at once, which wait for the disk together.
func BenchmarkPutAtOnce(b *testing.B) {
	c := benchmarkRecords(b, 1)
	b.ReportAllocs()
	b.SetParallelism(25)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := c.Put("one", thing{Name: "one"}); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	c := benchmarkRecords(b, 200)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Get("0100"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList200(b *testing.B) {
	c := benchmarkRecords(b, 200)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.List(); err != nil {
			b.Fatal(err)
		}
	}
}
