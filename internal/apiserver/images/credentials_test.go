package images

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

// basic lets only user:secret in.
func basic(next http.Handler) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "user" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// bearer lets in who fetched a token as user:secret (distribution spec of
// docker, "token authentication").
func bearer(h *hub) func(http.Handler) func(http.ResponseWriter, *http.Request) {
	return func(next http.Handler) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/token":
				if user, password, _ := r.BasicAuth(); user != "user" || password != "secret" {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				fmt.Fprint(w, `{"token":"abc"}`)
			case r.Header.Get("Authorization") != "Bearer abc":
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test"`, h.URL))
				w.WriteHeader(http.StatusUnauthorized)
			default:
				next.ServeHTTP(w, r)
			}
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"basic", "bearer"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			f := newFixture(t)
			s := f.start(t)
			ref := h.push(t, "box:1", image(t, "", layer(t, resource.CompressionNone, entry{"a", "a"})))
			if scheme == "basic" {
				h.setWrap(basic)
			} else {
				h.setWrap(bearer(h))
			}

			_, err := s.Pull(t.Context(), ref, "", nil)
			wantKind(t, err, errdefs.ErrUnauthenticated)
			if hint := `log in with "patchbay registry login ` + h.host + `"`; !strings.Contains(err.Error(), hint) {
				t.Errorf("error = %s, without %s", err, hint)
			}
			err = s.Login(t.Context(), h.host, "user", "wrong")
			wantKind(t, err, errdefs.ErrUnauthenticated)
			if want := "registry " + h.host + `: refuses the user name "user" with this password: `; !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error = %s, want %s", err, want)
			}
			if _, err := os.Stat(f.config.Credentials); err == nil {
				t.Error("refused credentials were stored")
			}

			if err := s.Login(t.Context(), h.host, "user", "secret"); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(f.config.Credentials)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("credentials file: %v, %v; want mode 0600", info.Mode(), err)
			}
			content, _ := os.ReadFile(f.config.Credentials)
			if strings.Contains(string(content), "secret") {
				t.Errorf("plain secret in %s", content)
			}
			s = f.start(t)
			if _, err := s.Pull(t.Context(), ref, "", nil); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Push(t.Context(), ref, h.host+"/other:1", nil); err != nil {
				t.Fatal(err)
			}
			logins, err := s.Logins(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]resource.RegistryLogin{{Registry: h.host, Username: "user"}}, logins); diff != "" {
				t.Errorf("logins (-want +got):\n%s", diff)
			}
			if err := s.Logout(t.Context(), h.host); err != nil {
				t.Fatal(err)
			}
			wantKind(t, s.Logout(t.Context(), h.host), errdefs.ErrNotFound)
			_, err = s.Pull(t.Context(), ref, "", nil)
			wantKind(t, err, errdefs.ErrUnauthenticated)
		})
	}
}

func TestLoginRefuses(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, login := range map[string][3]string{
		"no user":      {"127.0.0.1:1", "", "x"},
		"no password":  {"127.0.0.1:1", "u", ""},
		"colon":        {"127.0.0.1:1", "u:v", "x"},
		"bad registry": {"http://x/", "u", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			wantKind(t, s.Login(t.Context(), login[0], login[1], login[2]), errdefs.ErrInvalidArgument)
		})
	}
	wantKind(t, s.Login(t.Context(), "127.0.0.1:1", "u", "x"), errdefs.ErrUnavailable)
}
