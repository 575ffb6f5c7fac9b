package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"patchbay.dev/patchbay/internal/cli/dialect"
	"patchbay.dev/patchbay/internal/cli/frame"
)

// parseError is the first thing that kept a command line from being parsed.
type parseError struct{ error }

func (e *parseError) Unwrap() error { return e.error }

func isParseError(err error) bool {
	var parse *parseError
	return errors.As(err, &parse)
}

// usageFaults parses a command line that does not parse again, without running
// anything, and returns all that is wrong with it. Each round leaves out what the
// round before stumbled over.
func usageFaults(args []string) error {
	f := &frame.Frame{Stdout: io.Discard, Stderr: io.Discard}
	root := newRoot(f)
	command, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if command.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return frame.UnknownCommand(command, rest[0]) // whose flags nobody knows
	}
	var faults []error
	for range len(rest) + 1 {
		f.Faults = nil
		err := command.ParseFlags(rest)
		if err == nil {
			break
		}
		text, offender := explain(command, err)
		faults = append(faults, errors.New(text))
		next := without(rest, offender)
		if len(next) == len(rest) {
			break
		}
		rest = next
	}
	if check := f.Checks[command]; check != nil {
		check()
	}
	return errors.Join(frame.Distinct(append(faults, f.Faults...))...)
}

// offender is a flag as it was given: by its name, by its letter, or by a word
// that is no flag at all.
type offender struct{ name, letter, word string }

func explain(c *cobra.Command, err error) (string, offender) {
	var unknown *pflag.NotExistError
	var lacking *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	var syntax *pflag.InvalidSyntaxError
	help := fmt.Sprintf(", see %q", c.CommandPath()+" --help")
	if errors.As(err, &unknown) {
		if here := dialect.Flag(strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" "), unknown.GetSpecifiedName()); here != "" {
			help = ": " + here
		}
	}
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		letter := unknown.GetSpecifiedName()
		return fmt.Sprintf("%sunknown flag -%s in -%s%s", frame.Called(c), letter, unknown.GetSpecifiedShortnames(), help),
			offender{word: "-" + unknown.GetSpecifiedShortnames()}
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		return fmt.Sprintf("%sunknown flag --%s%s", frame.Called(c), name, help), offender{name: name}
	case errors.As(err, &lacking):
		flag := lacking.GetFlag()
		return fmt.Sprintf("%sflag --%s: wants a value (%s)", frame.Called(c), flag.Name, flag.Value.Type()),
			offender{name: flag.Name, letter: flag.Shorthand}
	case errors.As(err, &invalid):
		flag := invalid.GetFlag()
		return fmt.Sprintf("%sflag --%s %q: want %s", frame.Called(c), flag.Name, invalid.GetValue(), wanted(flag.Value.Type())),
			offender{name: flag.Name, letter: flag.Shorthand}
	case errors.As(err, &syntax):
		return fmt.Sprintf("%s%q: is no flag%s", frame.Called(c), syntax.GetSpecifiedFlag(), help),
			offender{word: syntax.GetSpecifiedFlag()}
	}
	return frame.Called(c) + err.Error(), offender{}
}

func wanted(kind string) string {
	if kind == "bool" {
		return "true or false"
	}
	return "a value of type " + kind
}

// without returns args without the first one that is the offender. A value
// that follows it stays and becomes an argument, which does not matter here.
func without(args []string, o offender) []string {
	for i, arg := range args {
		bare, _, _ := strings.Cut(arg, "=")
		named := o.name != "" && bare == "--"+o.name
		lettered := o.letter != "" && !strings.HasPrefix(arg, "--") && strings.HasPrefix(arg, "-") && strings.Contains(bare, o.letter)
		worded := o.word != "" && (arg == o.word || bare == o.word)
		if named || lettered || worded {
			return slices.Delete(slices.Clone(args), i, i+1)
		}
	}
	return args
}
