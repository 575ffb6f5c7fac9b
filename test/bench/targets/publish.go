package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/test/bench/document"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/machine"
	"patchbay.dev/patchbay/test/bench/report"
	"patchbay.dev/patchbay/test/bench/result"
)

// publish writes the tables of all parts that are there to w and, where the
// settings say so, into a page, with pictures.
func publish(s settings, w io.Writer) error {
	parts, err := result.Load(s.results)
	if err != nil {
		return err
	}
	verdicts := goal.Judge(parts)
	own := slices.DeleteFunc(slices.Clone(parts), func(p result.Part) bool { return !slices.Contains(partNames(), p.Name) })
	slices.SortFunc(own, func(a, b result.Part) int {
		return slices.Index(partNames(), a.Name) - slices.Index(partNames(), b.Name)
	})
	head := fmt.Sprintf("%s.\n\n%s.\n\n", machine.Describe(s.work), strings.Join(result.Versions(own), ", "))
	first, second := head+report.Verdicts(verdicts), report.Figures(own)
	if _, err := io.WriteString(w, first+"\n"+second); err != nil || s.document == "" {
		return err
	}
	for _, picture := range []struct {
		name    string
		content []byte
	}{{"bench-targets.svg", report.Targets(verdicts)}, {"bench-beside.svg", report.Beside(own)}} {
		if err := atomicfile.Write(filepath.Join(s.images, picture.name), picture.content, 0o644); err != nil {
			return err
		}
	}
	if err := document.Put(s.document, "bench", first); err != nil {
		return err
	}
	return document.Put(s.document, "bench-figures", second)
}
