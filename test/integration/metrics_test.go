//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// sample is the values of one scrape, by name and labels as they are written.
type sample map[string]float64

// scrape reads the metrics at a unix socket as Prometheus would.
func (h *host) scrape(socket string) (sample, error) { return scrapeAs(0, socket) }

// scrapeAs is a scrape of a user.
func scrapeAs(user int, socket string) (sample, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return dialAs(user, socket)
	}}
	answer, err := (&http.Client{Transport: transport}).Get("http://patchbay/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(answer.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		return nil, err
	}
	out := sample{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			key := name
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			out[key] = value(m)
		}
	}
	return out, nil
}

// dialAs connects to a unix socket as another user: the thread becomes that one, and
// is thrown away.
func dialAs(user int, socket string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		same := ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uintptr(user), same); errno != 0 {
			err = errno
			return
		}
		conn, err = net.Dial("unix", socket)
	}()
	<-done
	return conn, err
}

// value is that of a metric, of a histogram how often something was observed.
func value(m *dto.Metric) float64 {
	if histogram := m.GetHistogram(); histogram != nil {
		return float64(histogram.GetSampleCount())
	}
	return m.GetGauge().GetValue() + m.GetCounter().GetValue()
}

// holds says what is not as wanted; a series that must not be there is wanted to
// be negative.
func (s sample) holds(want sample) error {
	var faults []error
	for key, v := range want {
		if got, ok := s[key]; ok != (v >= 0) || ok && got != v {
			faults = append(faults, fmt.Errorf("%s: got %v (%v), want %v", key, got, ok, v))
		}
	}
	return errors.Join(faults...)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	socket := filepath.Join(h.dir, "metrics.sock")
	setting := func(listen string) {
		h.write("config.toml", fmt.Appendf(nil, "[metrics]\nlisten = %q\n", listen), 0o644)
	}

	// What cannot be served is told by file and key, and nothing runs then.
	for listen, want := range map[string]string{
		"localhost:9100":                        `metrics.listen: "localhost:9100": want "unix:/PATH", or an address and a port`,
		"unix:" + h.dir:                         "is there and is no socket",
		"192.0.2.77:9100":                       "cannot assign requested address",
		"unix:" + h.runRoot + "/patchbayd.sock": "is the socket of the API",
	} {
		setting(listen)
		r := h.try("system", "start")
		if r.code == 0 || !strings.Contains(r.stderr, want) || !strings.Contains(r.stderr, filepath.Join(h.dir, "config.toml")+": metrics.listen: ") {
			t.Errorf("listen %q: want %q: %s", listen, want, r)
		}
	}

	setting("unix:" + socket)
	h.up()
	h.patchbay("network", "create", "web")
	h.patchbay("run", "-d", "--name", "one", "--network", "web", "box", "sleep", "1000")
	h.patchbay("create", "--name", "two", "--network", "web", "box", "true")
	h.try("start", "none")
	now := h.await(socket, sample{
		`patchbay_containers{runtime="oci",state="running"}`:                    1,
		`patchbay_containers{runtime="oci",state="created"}`:                    1,
		`patchbay_containers{runtime="oci",state="stopped"}`:                    0,
		`patchbay_runtime_helpers{runtime="oci"}`:                               1,
		`patchbay_network_up{network="web",plugin="bridge"}`:                    1,
		`patchbay_network_plugin_restarts_total{network="web",plugin="bridge"}`: 0,
		`patchbay_network_addresses_used{family="ipv4",network="web"}`:          1,
		`patchbay_network_addresses{family="ipv4",network="web"}`:               253,
		`patchbay_network_addresses_used{family="ipv6",network="web"}`:          1,
		`patchbay_images`: 1,
		`patchbay_scrape_unanswered{process="network-plugin"}`:                                    0,
		`patchbay_scrape_unanswered{process="runtime-helper"}`:                                    0,
		`patchbay_container_processes{container="one"}`:                                           1,
		`patchbay_api_call_duration_seconds{code="ok",procedure="NetworkService/Create"}`:         1,
		`patchbay_api_call_duration_seconds{code="not_found",procedure="ContainerService/Start"}`: 1,
		`patchbay_api_calls_running{procedure="NetworkService/Create"}`:                           0,
	})
	attachment := `{container="one",interface="eth0",network="web"}`
	h.patchbay("exec", "one", "ping", "-c", "3", h.network("web").Status.IPv4Gateway.String())
	later := h.await(socket, sample{`patchbay_scrape_unanswered{process="runtime-helper"}`: 0})
	for _, direction := range []string{"receive", "transmit"} {
		bytes, packets := "patchbay_attachment_"+direction+"_bytes_total"+attachment, "patchbay_attachment_"+direction+"_packets_total"+attachment
		if later[packets]-now[packets] < 3 || later[bytes]-now[bytes] < 3*84 {
			t.Errorf("%s: %v bytes, %v packets before, %v and %v after three pings", direction, now[bytes], now[packets], later[bytes], later[packets])
		}
	}
	for _, name := range []string{"process_resident_memory_bytes", "patchbay_image_blobs_size_bytes", "patchbay_image_layers_size_bytes"} {
		if now[name] <= 0 {
			t.Errorf("%s is %v", name, now[name])
		}
	}

	// What a stop changes is seen at once.
	h.patchbay("stop", "-t", "0", "one")
	h.await(socket, sample{
		`patchbay_containers{runtime="oci",state="running"}`:           0,
		`patchbay_containers{runtime="oci",state="stopped"}`:           1,
		`patchbay_runtime_helpers{runtime="oci"}`:                      0,
		`patchbay_network_addresses_used{family="ipv4",network="web"}`: 0,
		`patchbay_container_processes{container="one"}`:                -1,
		`patchbay_attachment_receive_bytes_total` + attachment:         -1,
	})

	// A helper or a plugin that hangs costs its own series alone; a plugin that dies
	// is counted.
	h.patchbay("start", "one")
	helper := h.container("one").Status.HelperPID
	stopProcess(t, helper)
	h.await(socket, sample{
		`patchbay_container_processes{container="one"}`:        -1,
		`patchbay_scrape_unanswered{process="runtime-helper"}`: 1,
		`patchbay_containers{runtime="oci",state="running"}`:   1,
		`patchbay_network_up{network="web",plugin="bridge"}`:   1,
	})
	kill(t, helper)
	h.patchbay("wait", "one")
	plugin := h.network("web").Status.PluginPID
	stopProcess(t, plugin)
	h.await(socket, sample{
		`patchbay_network_up{network="web",plugin="bridge"}`:          0,
		`patchbay_network_up{network="default",plugin="bridge"}`:      1,
		`patchbay_network_addresses{family="ipv4",network="web"}`:     -1,
		`patchbay_network_addresses{family="ipv4",network="default"}`: 253,
		`patchbay_scrape_unanswered{process="network-plugin"}`:        1,
		`patchbay_containers{runtime="oci",state="stopped"}`:          1,
	})
	kill(t, plugin)
	h.await(socket, sample{
		`patchbay_network_up{network="web",plugin="bridge"}`:                        1,
		`patchbay_network_plugin_restarts_total{network="web",plugin="bridge"}`:     1,
		`patchbay_network_plugin_restarts_total{network="default",plugin="bridge"}`: 0,
	})

	// The socket of a patchbayd that was killed is replaced, and then is root's alone.
	kill(t, h.daemonPID())
	if _, err := os.Stat(socket); err != nil {
		t.Errorf("after the death of patchbayd: %v, want its socket left", err)
	}
	h.patchbay("system", "start")
	h.mustScrape(socket)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v, want mode 0600", info.Mode(), err)
	}
	if _, err := scrapeAs(1, socket); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("another user: %v, want that it may not connect", err)
	}

	// Who may call the API may read the metrics, and nobody else.
	kill(t, h.daemonPID())
	h.write("config.toml", fmt.Appendf(nil, "[api]\nallowed-users = [1]\n[metrics]\nlisten = %q\n", "unix:"+socket), 0o644)
	if err := os.Chmod(h.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	h.patchbay("system", "start")
	if _, err := scrapeAs(1, socket); err != nil {
		t.Errorf("an allowed user: %v", err)
	}
	if _, err := scrapeAs(2, socket); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("another user: %v, want that it is refused", err)
	}
	if s := h.container("two").Status; s.State != resource.ContainerCreated {
		t.Errorf("container two: %s", s.State)
	}
	h.patchbay("system", "stop", "-t", "0")
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the stop: %v, want the socket gone", err)
	}
}

// await returns a scrape in which what is wanted holds: a busy machine lets others than those
// that hang answer late too.
func (h *host) await(socket string, want sample) (now sample) {
	h.t.Helper()
	eventually(h.t, settle, func() (err error) {
		if now, err = h.scrape(socket); err != nil {
			return err
		}
		return now.holds(want)
	})
	return now
}

func (h *host) mustScrape(socket string) sample {
	h.t.Helper()
	s, err := h.scrape(socket)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}
