package cli_test

import (
	"testing"

	"patchbay.dev/patchbay/internal/cli"
)

// BenchmarkCommands is what every run pays before it does anything.
func BenchmarkCommands(b *testing.B) {
	for b.Loop() {
		cli.Commands()
	}
}
