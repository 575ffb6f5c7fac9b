package cli

import "github.com/spf13/cobra"

// newHelpExitCodes returns a help topic: a command that only has a text.
func newHelpExitCodes() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes of patchbay mean",
		Long: `Exit codes of patchbay:

  0    done
  1    failed; standard error says why, one line for each fault
  2    the command line means nothing: an unknown command or flag, a bad value,
       too few or too many arguments; nothing was done
  3    "patchbay system status": patchbayd is not running
  130  ended by SIGINT or SIGTERM before it was done

"run", "exec", "attach" and "start --attach" exit with the code of the
container's process (128 + n if signal n ended it). What kept "run" and "exec"
from starting the process is told by

  125  Patchbay failed
  126  the command was found and cannot be executed
  127  the command was not found`,
	}
}
