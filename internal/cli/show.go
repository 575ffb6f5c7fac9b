package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/cli/terminal"
)

// listOptions are the flags of all commands that list.
type listOptions struct {
	format         output.Format
	quiet, noTrunc bool
}

func (o *listOptions) bind(f *frame, c *cobra.Command, what string) {
	f.formatFlag(c, &o.format, output.FormatTable)
	c.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "show only the "+what)
	c.Flags().BoolVar(&o.noTrunc, "no-trunc", false, "cut nothing short")
}

// list is resources to be listed.
type list[T any] struct {
	items []T
	quiet func(T) string
	table *output.Table
}

func (l list[T]) show(out io.Writer, o listOptions) error {
	switch {
	case o.format == output.FormatJSON:
		return output.JSON(out, some(l.items))
	case o.quiet:
		words := make([]string, len(l.items))
		for i, item := range l.items {
			words[i] = l.quiet(item)
		}
		return lines(out, words)
	}
	return l.table.Write(out)
}

// some returns an empty slice for nil, which JSON knows as a list.
func some[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

func lines(out io.Writer, words []string) error {
	for _, w := range words {
		if _, err := fmt.Fprintln(out, w); err != nil {
			return err
		}
	}
	return nil
}

// inspection shows resources by their names: those that there are, and an
// error for each that is not.
type inspection[T any] struct {
	get   func(ctx context.Context, name string) (T, error)
	table func([]T) *output.Table
}

func (i inspection[T]) run(ctx context.Context, out io.Writer, names []string, format output.Format) error {
	found := []T{}
	var errs []error
	for _, name := range names {
		item, err := i.get(ctx, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, item)
	}
	var err error
	if format == output.FormatJSON {
		err = output.JSON(out, found)
	} else if len(found) > 0 {
		err = i.table(found).Write(out)
	}
	return errors.Join(append(errs, err)...)
}

// parallelism bounds how many names a command works on at once.
const parallelism = 16

// forEachName does something to each name, several at once, and shows the names
// it was done to in their order. One failure does not keep the others.
func forEachName(ctx context.Context, out io.Writer, names []string, do func(context.Context, string) error) error {
	return forEach(ctx, out, names, func(ctx context.Context, name string) (string, error) {
		return name, do(ctx, name)
	})
}

// forEach is forEachName for what shows something else than the name.
func forEach(ctx context.Context, out io.Writer, names []string, do func(context.Context, string) (string, error)) error {
	type result struct {
		line string
		err  error
	}
	results := make([]chan result, len(names))
	var g errgroup.Group
	g.SetLimit(parallelism)
	for i := range names {
		results[i] = make(chan result, 1)
	}
	go func() {
		for i, name := range names {
			g.Go(func() error {
				line, err := do(ctx, name)
				results[i] <- result{line, err}
				return nil
			})
		}
	}()
	var errs []error
	for _, r := range results {
		got := <-r
		if got.err == nil {
			_, got.err = fmt.Fprintln(out, got.line)
		}
		errs = append(errs, got.err)
	}
	return errors.Join(errs...)
}

func eachFallible[A, B any](in []A, convert func(A) (B, error)) ([]B, error) {
	out := make([]B, 0, len(in))
	for _, a := range in {
		b, err := convert(a)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// confirm asks before something is lost, if there is somebody to ask.
func (f *frame) confirm(question string, force bool) bool {
	if force || !terminal.Is(f.stdin) {
		return true
	}
	fmt.Fprintf(f.stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(f.stdin).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}

func bindForcePrune(c *cobra.Command, force *bool) {
	c.Flags().BoolVarP(force, "force", "f", false, "do not ask, even on a terminal")
}

func text(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

func count(n uint64) string { return strconv.FormatUint(n, 10) }
