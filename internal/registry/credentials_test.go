package registry

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

func newClient(t *testing.T, credentials string) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(path, []byte(credentials), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Credentials: path})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A file that docker wrote is read as it is.
func TestCredentialsOfDocker(t *testing.T) {
	t.Parallel()
	auth := base64.StdEncoding.EncodeToString([]byte("me:a:b"))
	c := newClient(t, `{"auths":{"r.example":{"auth":"`+auth+`"}},"credHelpers":{}}`)
	a, err := c.credentials.authenticator("r.example")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := a.Authorization(); got.Username != "me" || got.Password != "a:b" {
		t.Errorf("read %+v", got)
	}
	logins, err := c.Logins(t.Context())
	if diff := cmp.Diff([]resource.RegistryLogin{{Registry: "r.example", Username: "me"}}, logins); err != nil || diff != "" {
		t.Errorf("logins: %v (-want +got):\n%s", err, diff)
	}
}

func TestDamagedCredentials(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"no json":   "{",
		"no base64": `{"auths":{"r.example":{"auth":"?"}}}`,
		"no colon":  `{"auths":{"r.example":{"auth":"YQ=="}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := newClient(t, content).Logins(t.Context()); !errors.Is(err, errdefs.ErrFailedPrecondition) {
				t.Errorf("error = %v, want failed precondition", err)
			}
		})
	}
}

// A registry may send us to where its blobs are, but not into our own networks.
func TestCheckRedirect(t *testing.T) {
	t.Parallel()
	request := func(address string) *http.Request {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Request{URL: u}
	}
	for target, allowed := range map[string]bool{
		"https://blobs.example/x":         true,
		"https://192.0.2.1/x":             true,
		"http://10.0.0.1/other":           true, // the registry itself
		"http://10.0.0.2/x":               false,
		"http://127.0.0.1/x":              false,
		"http://169.254.169.254/metadata": false,
		"http://[::1]/x":                  false,
		"http://[::ffff:192.168.0.1]/x":   false,
		"http://[fd00::1]/x":              false,
	} {
		if err := checkRedirect(request(target), []*http.Request{request("http://10.0.0.1/v2/")}); (err == nil) != allowed {
			t.Errorf("%s: %v", target, err)
		}
	}
}
