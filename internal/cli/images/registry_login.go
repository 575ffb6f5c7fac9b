package images

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/terminal"
)

// maxPassword bounds what is read as a password; tokens are long.
const maxPassword = 64 << 10

type registryLoginOptions struct {
	username      string
	passwordStdin bool
}

func newRegistryLogin(f *frame.Frame) *cobra.Command {
	var o registryLoginOptions
	c := &cobra.Command{
		Use:   "login [FLAGS] REGISTRY",
		Short: "Check and keep credentials for a registry",
		Long: `Check credentials with a registry and keep them, readable by root only. What is
not given is asked for.`,
		Example: `  patchbay registry login registry.example.com
  patchbay registry login --username ci --password-stdin registry.example.com <token`,
		Args: f.Exactly(1, "a REGISTRY"),
		RunE: func(c *cobra.Command, args []string) error {
			if o.passwordStdin && o.username == "" {
				f.Fault(errors.New("--password-stdin: wants --username too"))
			}
			if !o.passwordStdin && !terminal.Is(f.Stdin) {
				f.Fault(errors.New("login: standard input is no terminal to ask for the password: pipe it in with --password-stdin"))
			}
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			request, err := o.credentials(c.Context(), f, args[0])
			if err != nil {
				return err
			}
			return runRegistryLogin(c.Context(), api.Registries, f.Stdout, request)
		},
	}
	c.Flags().StringVarP(&o.username, "username", "u", "", "user name")
	c.Flags().BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from standard input")
	return c
}

func (o registryLoginOptions) credentials(ctx context.Context, f *frame.Frame, registry string) (*apiserverv1.LoginRequest, error) {
	request := &apiserverv1.LoginRequest{Registry: registry, Username: o.username}
	if o.passwordStdin {
		password, err := io.ReadAll(io.LimitReader(f.Stdin, maxPassword+1))
		if err != nil {
			return nil, fmt.Errorf("password: %w", err)
		}
		request.Password = strings.TrimRight(string(password), "\r\n")
		if request.Password == "" || len(password) > maxPassword {
			return nil, frame.NewUsageError(fmt.Errorf("password: standard input has %d bytes of it, want 1 to %d", len(password), maxPassword))
		}
		return request, nil
	}
	if request.Username == "" {
		fmt.Fprintf(f.Stderr, "User name for %s: ", registry)
		name, err := bufio.NewReader(f.Stdin).ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("user name: %w", err)
		}
		request.Username = strings.TrimSpace(name)
	}
	fmt.Fprintf(f.Stderr, "Password of %s: ", request.Username)
	f.Signals.Interrupt() // else they would leave the terminal silent
	var err error
	request.Password, err = terminal.ReadPassword(ctx, f.Stdin)
	fmt.Fprintln(f.Stderr)
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	return request, nil
}

type registryLoginClient interface {
	Login(context.Context, *apiserverv1.LoginRequest) (*apiserverv1.LoginResponse, error)
}

func runRegistryLogin(ctx context.Context, api registryLoginClient, out io.Writer, request *apiserverv1.LoginRequest) error {
	if _, err := api.Login(ctx, request); err != nil {
		return err
	}
	return frame.Lines(out, []string{request.GetRegistry()})
}
