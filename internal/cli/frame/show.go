package frame

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/cli/terminal"
)

// ListOptions are the flags of all commands that list.
type ListOptions struct {
	format         output.Format
	quiet, NoTrunc bool
}

// Bind binds the flags; what is what --quiet shows.
func (o *ListOptions) Bind(f *Frame, c *cobra.Command, what string) {
	f.FormatFlag(c, &o.format, output.FormatTable)
	c.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "show only the "+what)
	c.Flags().BoolVar(&o.NoTrunc, "no-trunc", false, "cut nothing short")
}

// Whole reports whether resources are shown with all there is of them.
func (o ListOptions) Whole() bool { return o.format == output.FormatJSON }

// List is resources to be listed.
type List[T any] struct {
	Items []T
	Quiet func(T) string
	Table func() *output.Table
}

// Show writes the list as the options say.
func (l List[T]) Show(out io.Writer, o ListOptions) error {
	switch {
	case o.format == output.FormatJSON:
		return output.JSONList(out, l.Items)
	case o.quiet:
		words := make([]string, len(l.Items))
		for i, item := range l.Items {
			words[i] = l.Quiet(item)
		}
		return Lines(out, words)
	}
	return l.Table().Write(out)
}

// Sequence is resources to be listed that come one after the other. One, with its texts, is not kept while the
// next ones are shown: the answer to a call with apiclient.InPieces is one. All fields are required.
type Sequence[T any] struct {
	Items iter.Seq2[T, error]
	Whole func(T) (any, error) // all there is of one
	Quiet func(T) string
	Table *output.Table // with its header
	Row   func(T) error // adds one to the table
}

// Show writes the list as the options say, up to the first error.
func (s Sequence[T]) Show(out io.Writer, o ListOptions) error {
	if o.Whole() {
		return output.JSONEach(out, func(yield func(any, error) bool) {
			for item, err := range s.Items {
				var whole any
				if err == nil {
					whole, err = s.Whole(item)
				}
				if !yield(whole, err) {
					return
				}
			}
		})
	}
	var words []string
	for item, err := range s.Items {
		switch {
		case err != nil:
		case o.quiet:
			words = append(words, strings.Clone(s.Quiet(item)))
		default:
			err = s.Row(item)
		}
		if err != nil {
			return err
		}
	}
	if o.quiet {
		return Lines(out, words)
	}
	return s.Table.Write(out)
}

// Some returns an empty slice for nil, which JSON knows as a list.
func Some[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// Lines writes a word on each line.
func Lines(out io.Writer, words []string) error {
	for _, w := range words {
		if _, err := fmt.Fprintln(out, w); err != nil {
			return err
		}
	}
	return nil
}

// Inspection shows resources by their names: those that there are, and an
// error for each that is not.
type Inspection[T any] struct {
	Get   func(ctx context.Context, name string) (T, error)
	Whole func(T) any // all there is of one; nil: it is that
	Table func([]T) *output.Table
}

// Run shows what there is, and returns the errors of all that is not. As JSON, one is shown before
// the next is asked for.
func (i Inspection[T]) Run(ctx context.Context, out io.Writer, names []string, format output.Format) error {
	var errs []error
	found := func(yield func(T) bool) {
		for _, name := range names {
			item, err := i.Get(ctx, name)
			if err != nil {
				errs = append(errs, err)
			} else if !yield(item) {
				return
			}
		}
	}
	var err error
	if format == output.FormatJSON {
		err = output.JSONEach(out, i.whole(found))
	} else if items := slices.Collect(found); len(items) > 0 {
		err = i.Table(items).Write(out)
	}
	return errors.Join(append(errs, err)...)
}

func (i Inspection[T]) whole(found iter.Seq[T]) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for item := range found {
			whole := any(&item)
			if i.Whole != nil {
				whole = i.Whole(item)
			}
			if !yield(whole, nil) {
				return
			}
		}
	}
}

// parallelism bounds how many names a command works on at once. Most of the end of a
// container is waiting for the kernel: few at once would wait one after the other.
const parallelism = 64

// ForEachName does something to each name, several at once, and shows the names
// it was done to in their order. One failure does not keep the others.
func ForEachName(ctx context.Context, out io.Writer, names []string, do func(context.Context, string) error) error {
	return ForEach(ctx, out, names, func(ctx context.Context, name string) (string, error) {
		return name, do(ctx, name)
	})
}

// ForEach is forEachName for what shows something else than the name.
func ForEach(ctx context.Context, out io.Writer, names []string, do func(context.Context, string) (string, error)) error {
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

// EachPart returns what the parts of an answer list, one valid until the next as message.Parts has it.
func EachPart[P, T any](parts iter.Seq2[P, error], listed func(P) []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for part, err := range parts {
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, one := range listed(part) {
				if !yield(one, nil) {
					return
				}
			}
		}
	}
}

// Confirm asks before something is lost, if there is somebody to ask.
func (f *Frame) Confirm(question string, force bool) bool {
	if force || !terminal.Is(f.Stdin) {
		return true
	}
	fmt.Fprintf(f.Stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(f.Stdin).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}

// BindForcePrune binds --force of the commands that ask before they delete.
func BindForcePrune(c *cobra.Command, force *bool) {
	c.Flags().BoolVarP(force, "force", "f", false, "do not ask, even on a terminal")
}

// Count shows a number.
func Count(n uint64) string { return strconv.FormatUint(n, 10) }
