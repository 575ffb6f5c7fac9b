package registry

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/resource"
)

// credentials is the file with the credentials of registries, in the form of
// docker's config.json: {"auths": {"host": {"auth": base64(user:password)}}}.
type credentials struct {
	path string
	mu   sync.Mutex // held while the file is read, changed and written
}

type credentialsFile struct {
	Auths map[string]storedLogin `json:"auths"`
}

type storedLogin struct {
	Auth string `json:"auth"` // base64 of user:password
}

func newStoredLogin(username, password string) storedLogin {
	return storedLogin{Auth: base64.StdEncoding.EncodeToString([]byte(username + ":" + password))}
}

func (l storedLogin) decode() (username, password string, err error) {
	text, err := base64.StdEncoding.DecodeString(l.Auth)
	username, password, ok := strings.Cut(string(text), ":")
	if err != nil || !ok {
		return "", "", fmt.Errorf("stored credentials: want base64 of user:password: %w", errdefs.ErrFailedPrecondition)
	}
	return username, password, nil
}

// read returns what is stored. The caller holds mu.
func (c *credentials) read() (credentialsFile, error) {
	file := credentialsFile{Auths: map[string]storedLogin{}}
	content, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return file, nil
	}
	if err != nil {
		return file, fmt.Errorf("registry credentials: %w", err)
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return file, fmt.Errorf("registry credentials: %s: %w: mend or remove it: %w", c.path, err, errdefs.ErrFailedPrecondition)
	}
	if file.Auths == nil {
		file.Auths = map[string]storedLogin{}
	}
	return file, nil
}

// change reads the file, lets f change it and writes it, readable by its
// owner only.
func (c *credentials) change(f func(credentialsFile) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	file, err := c.read()
	if err != nil {
		return err
	}
	if err := f(file); err != nil {
		return err
	}
	content, err := json.MarshalIndent(file, "", "\t")
	if err != nil {
		return err
	}
	if err := atomicfile.WriteDurable(c.path, append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("registry credentials: %w", err)
	}
	return nil
}

// authenticator returns what authenticates with a registry: anonymous if
// nothing is stored.
func (c *credentials) authenticator(host string) (authn.Authenticator, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	file, err := c.read()
	if err != nil {
		return nil, err
	}
	stored, ok := file.Auths[host]
	if !ok {
		return authn.Anonymous, nil
	}
	username, password, err := stored.decode()
	if err != nil {
		return nil, fmt.Errorf("registry %s: %w", host, err)
	}
	return &authn.Basic{Username: username, Password: password}, nil
}

// Login checks credentials with the registry and stores them. An empty
// registry is the default one. ErrUnauthenticated if the registry refuses them.
func (r *Client) Login(ctx context.Context, registry, username, password string) error {
	if username == "" || password == "" {
		return fmt.Errorf("registry %s: want a user name and a password: %w", registry, errdefs.ErrInvalidArgument)
	}
	if strings.Contains(username, ":") {
		return fmt.Errorf("registry %s: user name %q: must not contain a colon (RFC 7617): %w", registry, username, errdefs.ErrInvalidArgument)
	}
	host, base, err := r.transportFor(registry)
	if err != nil {
		return err
	}
	auth := &authn.Basic{Username: username, Password: password}
	way, err := transport.NewWithContext(ctx, host, auth, base, nil)
	if err == nil {
		err = ping(ctx, &http.Client{Transport: way}, host.Scheme()+"://"+host.RegistryStr()+"/v2/")
	}
	var answer *transport.Error
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return fmt.Errorf("registry %s: refuses the user name %q with this password: %w", host.RegistryStr(), username, errdefs.ErrUnauthenticated)
	}
	if err != nil {
		return registryError(host, err)
	}
	return r.credentials.change(func(file credentialsFile) error {
		file.Auths[host.RegistryStr()] = newStoredLogin(username, password)
		return nil
	})
}

// ping asks for what every registry answers to those it knows.
func ping(ctx context.Context, client *http.Client, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return transport.CheckError(response, http.StatusOK)
}

// Logout forgets the credentials of a registry. ErrNotFound if there are none.
func (r *Client) Logout(_ context.Context, registry string) error {
	host, err := parseRegistry(registry)
	if err != nil {
		return err
	}
	return r.credentials.change(func(file credentialsFile) error {
		if _, ok := file.Auths[host.RegistryStr()]; !ok {
			return fmt.Errorf("registry %s: not logged in: %w", host.RegistryStr(), errdefs.ErrNotFound)
		}
		delete(file.Auths, host.RegistryStr())
		return nil
	})
}

// Logins returns the registries with stored credentials, by name.
func (r *Client) Logins(context.Context) ([]resource.RegistryLogin, error) {
	r.credentials.mu.Lock()
	defer r.credentials.mu.Unlock()
	file, err := r.credentials.read()
	if err != nil {
		return nil, err
	}
	var logins []resource.RegistryLogin
	for host, stored := range file.Auths {
		username, _, err := stored.decode()
		if err != nil {
			return nil, fmt.Errorf("registry %s: %w", host, err)
		}
		logins = append(logins, resource.RegistryLogin{Registry: host, Username: username})
	}
	slices.SortFunc(logins, func(a, b resource.RegistryLogin) int { return cmp.Compare(a.Registry, b.Registry) })
	return logins, nil
}
