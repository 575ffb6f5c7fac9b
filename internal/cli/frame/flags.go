package frame

import (
	"time"

	"github.com/spf13/cobra"
	"patchbay.dev/patchbay/api/message"
	"patchbay.dev/patchbay/internal/cli/parse"
)

// TimeoutFlag is a time span that may be left out.
type TimeoutFlag struct {
	Value time.Duration
	Given bool
}

// Bind binds --timeout.
func (t *TimeoutFlag) Bind(f *Frame, c *cobra.Command) {
	c.Flags().VarP(Checked(f, t, "time", func(s string) (TimeoutFlag, error) {
		d, err := parse.Timeout(s)
		return TimeoutFlag{Value: d, Given: true}, err
	}), "timeout", "t", "time to end in before it is killed (default: the container's)")
}

// Proto is the value, nil for one that was left out.
func (t *TimeoutFlag) Proto() *message.Duration {
	if !t.Given {
		return nil
	}
	return message.NewDuration(t.Value)
}

// BindTail binds --tail.
func BindTail(f *Frame, c *cobra.Command, target *int64) {
	*target = -1
	c.Flags().VarP(CheckedDefault(f, target, "lines", parse.Lines, "all"),
		"tail", "n", "show the last lines only")
}
