// Package registry speaks to image registries (OCI distribution spec): it
// authenticates, fetches manifests and blobs, pushes images, and keeps the
// credentials of its users.
//
// Errors name the registry and say what it answered; those of kind
// errdefs.ErrUnavailable are the fault of the registry or of the way to it, and
// may be gone the next time.
package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Config is what a Client needs.
type Config struct {
	// Credentials is the file with the credentials of registries.
	Credentials string
	// Insecure are the names of registries that may be spoken to without
	// encryption or a verified certificate.
	Insecure []string
	// Patience is how long a registry may be silent in the middle of a blob;
	// zero: one minute.
	Patience time.Duration
}

// Client knows how to speak to registries.
type Client struct {
	credentials *credentials
	insecure    map[string]bool // by name as the library has it
	verified    http.RoundTripper
	unverified  http.RoundTripper // for insecure registries
	patience    time.Duration     // how long a registry may be silent in the middle of a blob
}

// New returns a client. ErrInvalidArgument if a name is none of a registry.
func New(c Config) (*Client, error) {
	r := &Client{
		credentials: &credentials{path: c.Credentials},
		insecure:    map[string]bool{},
		patience:    cmp.Or(c.Patience, time.Minute),
	}
	for _, s := range c.Insecure {
		registry, err := parseRegistry(s)
		if err != nil {
			return nil, fmt.Errorf("insecure registries: %w", err)
		}
		r.insecure[registry.RegistryStr()] = true
	}
	verified := newTransport(nil)
	unverified := newTransport(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	r.verified, r.unverified = transport.NewRetry(verified), transport.NewRetry(unverified)
	return r, nil
}

func newTransport(c *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       c,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   AtOnce,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
	}
}

// parseRegistry checks the name of a registry; empty is the default one.
func parseRegistry(s string, options ...name.Option) (name.Registry, error) {
	registry, err := name.NewRegistry(strings.TrimSuffix(s, "/"), options...)
	if err != nil || strings.ContainsAny(s, " \t\n@") || strings.Contains(s, "://") {
		return name.Registry{}, fmt.Errorf("registry %q: want HOST or HOST:PORT: %w", s, errdefs.ErrInvalidArgument)
	}
	return registry, nil
}

// transportFor returns the registry with the scheme that fits it, and the way
// to it without credentials.
func (r *Client) transportFor(s string) (name.Registry, http.RoundTripper, error) {
	registry, err := parseRegistry(s)
	if err != nil || !r.insecure[registry.RegistryStr()] {
		return registry, r.verified, err
	}
	registry, err = parseRegistry(s, name.Insecure)
	return registry, r.unverified, err
}

// Image is an image's place in a registry, with a way to it that bears the
// credentials stored for it.
type Image struct {
	ref      name.Reference
	way      http.RoundTripper
	client   *http.Client
	patience time.Duration
}

// ForPull returns the place of a complete name, to be pulled from.
func (r *Client) ForPull(ctx context.Context, complete string) (*Image, error) {
	return r.open(ctx, complete, transport.PullScope)
}

// ForPush returns the place of a complete name, to be pushed to.
func (r *Client) ForPush(ctx context.Context, complete string) (*Image, error) {
	return r.open(ctx, complete, transport.PushScope)
}

func (r *Client) open(ctx context.Context, complete, scope string) (*Image, error) {
	ref, err := name.ParseReference(complete)
	if err != nil {
		return nil, fmt.Errorf("image name %q: %w: %w", complete, err, errdefs.ErrInvalidArgument)
	}
	host := ref.Context().RegistryStr()
	_, base, err := r.transportFor(host)
	if err != nil {
		return nil, err
	}
	if r.insecure[host] {
		if ref, err = name.ParseReference(complete, name.Insecure); err != nil {
			return nil, err
		}
	}
	auth, err := r.credentials.authenticator(host)
	if err != nil {
		return nil, err
	}
	way, err := transport.NewWithContext(ctx, ref.Context().Registry, auth, base, []string{ref.Context().Scope(scope)})
	if err != nil {
		return nil, registryError(ref.Context().Registry, err)
	}
	client := &http.Client{Transport: way, CheckRedirect: checkRedirect}
	return &Image{ref: ref, way: way, client: client, patience: r.patience}, nil
}

// AtOnce is how many blobs of an image are transferred at once.
const AtOnce = 3

// options are those of the library's calls.
func (i *Image) options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithTransport(i.way), remote.WithJobs(AtOnce)}
}

// Manifest fetches the manifest, or the index, that the image's name stands for.
func (i *Image) Manifest(ctx context.Context) (*remote.Descriptor, error) {
	return i.manifest(ctx, i.ref)
}

// ManifestOf fetches another manifest of the same repository.
func (i *Image) ManifestOf(ctx context.Context, digest v1.Hash) (*remote.Descriptor, error) {
	return i.manifest(ctx, i.ref.Context().Digest(digest.String()))
}

func (i *Image) manifest(ctx context.Context, ref name.Reference) (*remote.Descriptor, error) {
	d, err := remote.Get(ref, i.options(ctx)...)
	if err != nil {
		return nil, registryError(i.ref.Context().Registry, err)
	}
	return d, nil
}

// Push uploads an image, blobs that are there already excepted.
func (i *Image) Push(ctx context.Context, image v1.Image) error {
	return registryError(i.ref.Context().Registry, remote.Write(i.ref, image, i.options(ctx)...))
}

// Unavailable says of an incomplete transfer that the registry is to blame.
func (i *Image) Unavailable(err error) error { return registryError(i.ref.Context().Registry, err) }

// OpenBlob returns a blob's content from offset on, or all of it if the
// registry does not serve parts (RFC 9110 section 14).
func (i *Image) OpenBlob(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	repository := i.ref.Context()
	address := url.URL{
		Scheme: repository.Scheme(),
		Host:   repository.RegistryStr(),
		Path:   fmt.Sprintf("/v2/%s/blobs/%s", repository.RepositoryStr(), d.Digest),
	}
	ctx, cancel := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		cancel()
		return nil, 0, err
	}
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, d.Size-1))
	}
	response, err := i.client.Do(request)
	if err != nil {
		cancel()
		return nil, 0, registryError(repository.Registry, err)
	}
	if err := transport.CheckError(response, http.StatusOK, http.StatusPartialContent); err != nil {
		response.Body.Close()
		cancel()
		return nil, 0, registryError(repository.Registry, err)
	}
	start := int64(0)
	if response.StatusCode == http.StatusPartialContent {
		if _, err := fmt.Sscanf(response.Header.Get("Content-Range"), "bytes %d-", &start); err != nil {
			start = offset
		}
	}
	return newBody(response.Body, repository.Registry, i.patience, cancel), start, nil
}

// body is content that comes from a registry. What fails in reading it is the
// fault of the registry or of the way to it, silence too. Silence is what a Read
// waits for: the time that the reader takes in between is its own.
type body struct {
	content  io.ReadCloser
	registry name.Registry
	patience time.Duration
	cancel   context.CancelFunc
	silence  *time.Timer
	stalled  atomic.Bool
}

func newBody(content io.ReadCloser, registry name.Registry, patience time.Duration, cancel context.CancelFunc) *body {
	b := &body{content: content, registry: registry, patience: patience, cancel: cancel}
	b.silence = time.AfterFunc(patience, func() {
		b.stalled.Store(true)
		cancel()
	})
	b.silence.Stop()
	return b
}

func (b *body) Read(p []byte) (int, error) {
	b.silence.Reset(b.patience)
	n, err := b.content.Read(p)
	b.silence.Stop()
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case b.stalled.Load():
		return n, fmt.Errorf("registry %s: sent nothing for %v: %w", b.registry.RegistryStr(), b.patience, errdefs.ErrUnavailable)
	}
	return n, registryError(b.registry, err)
}

func (b *body) Close() error {
	b.silence.Stop()
	b.cancel()
	return b.content.Close()
}

// checkRedirect lets a registry send us to where its blobs are, but not to an
// address inside of the host's own networks.
func checkRedirect(request *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	host := request.URL.Hostname()
	if host == via[0].URL.Hostname() {
		return nil
	}
	a, _ := netip.ParseAddr(host) // the zero address, which is none of these, for a name
	if a = a.Unmap(); a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() {
		return fmt.Errorf("%s redirects to the private address %s", via[0].URL.Host, a)
	}
	return nil
}

// registryError gives what a registry answered, or that it did not, a kind.
func registryError(registry name.Registry, err error) error {
	host := registry.RegistryStr()
	if err == nil || errdefs.IsUnavailable(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var answer *transport.Error
	if !errors.As(err, &answer) {
		text := strings.Join(strings.Fields(err.Error()), " ")
		if strings.Contains(text, "server gave HTTP response to HTTPS client") || isCertificateError(err) {
			text += `; if you trust it, name it in "insecure" of [registries] in the daemon's configuration`
		}
		return fmt.Errorf("registry %s: %s: %w", host, text, errdefs.ErrUnavailable)
	}
	text := strings.Join(strings.Fields(answer.Error()), " ")
	switch status := answer.StatusCode; {
	case status == http.StatusUnauthorized:
		return fmt.Errorf("registry %s: %s; log in with \"patchbay registry login %s\": %w", host, text, host, errdefs.ErrUnauthenticated)
	case status == http.StatusForbidden:
		return fmt.Errorf("registry %s: %s: %w", host, text, errdefs.ErrPermissionDenied)
	case status == http.StatusNotFound:
		return fmt.Errorf("registry %s: %s: %w", host, text, errdefs.ErrNotFound)
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return fmt.Errorf("registry %s: %s: %w", host, text, errdefs.ErrUnavailable)
	}
	return fmt.Errorf("registry %s: %s: %w", host, text, errdefs.ErrFailedPrecondition)
}

func isCertificateError(err error) bool {
	var invalid *tls.CertificateVerificationError
	return errors.As(err, &invalid)
}
