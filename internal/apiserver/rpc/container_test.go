package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/treecopy/parts"
	"patchbay.dev/patchbay/resource"
)

// fakeContainers notes its calls and refuses all about "none".
type fakeContainers struct {
	calls  chan string
	follow chan struct{} // closed: the log ends
	all    []*snapshot.Of[resource.Container]
}

func (f *fakeContainers) note(name, format string, args ...any) error {
	f.calls <- fmt.Sprintf(format, args...)
	if name == "none" {
		return fmt.Errorf("container none: %w", errdefs.ErrNotFound)
	}
	return nil
}

func (f *fakeContainers) Create(_ context.Context, name string, labels map[string]string, t resource.ContainerTemplate) (resource.Container, []string, error) {
	err := f.note(name, "create %s %v %s %v %v", name, labels, t.Image, t.Command, *t.StopTimeout)
	return resource.Container{Metadata: resource.Metadata{ID: "1", Name: name}}, []string{"careful"}, err
}

func (f *fakeContainers) List(_ context.Context, all bool) ([]*snapshot.Of[resource.Container], error) {
	return f.all, f.note("", "list %v", all)
}

func (f *fakeContainers) Get(_ context.Context, name string) (resource.Container, error) {
	return resource.Container{Status: resource.ContainerStatus{State: resource.ContainerRunning, PID: 7}}, f.note(name, "get %s", name)
}

func (f *fakeContainers) Delete(_ context.Context, name string, force bool) error {
	return f.note(name, "delete %s %v", name, force)
}

func (f *fakeContainers) Start(_ context.Context, name string, attach bool) (resource.StartedContainer, error) {
	return resource.StartedContainer{StdioSocket: "/stdio.sock", Warnings: []string{"careful"}}, f.note(name, "start %s %v", name, attach)
}

func (f *fakeContainers) Run(_ context.Context, r resource.Run) (resource.StartedContainer, error) {
	return resource.StartedContainer{ID: r.ID, StdioSocket: "/stdio.sock", Warnings: []string{"careful"}},
		f.note(r.Name, "run %s %s %v %s %v %v", r.Name, r.ID, r.Labels, r.Template.Image, r.Template.Command, r.Attach)
}

func (f *fakeContainers) Stop(_ context.Context, name string, timeout *time.Duration) error {
	return f.note(name, "stop %s %v", name, show(timeout))
}

func show(d *time.Duration) string {
	if d == nil {
		return "default"
	}
	return d.String()
}

func (f *fakeContainers) Kill(_ context.Context, name, signal string) error {
	return f.note(name, "kill %s %s", name, signal)
}

func (f *fakeContainers) Restart(_ context.Context, name string, timeout *time.Duration) (resource.StartedContainer, error) {
	return resource.StartedContainer{Warnings: []string{"careful"}}, f.note(name, "restart %s %v", name, show(timeout))
}

func (f *fakeContainers) Wait(_ context.Context, name string, deleted bool) (resource.ContainerExit, error) {
	return resource.ContainerExit{Code: 3, Message: "so it ended"}, f.note(name, "wait %s %v", name, deleted)
}

func (f *fakeContainers) Logs(_ context.Context, name string, q resource.LogQuery, send func(resource.LogEntry) error) error {
	if err := f.note(name, "logs %s %v %d %d", name, q.Follow, q.Tail, q.Since.Unix()); err != nil {
		return err
	}
	<-f.follow
	return send(resource.LogEntry{Time: time.Unix(5, 0), Stderr: true, Data: []byte("line\n")})
}

func (f *fakeContainers) Exec(_ context.Context, name string, x resource.Exec) (resource.ExecSession, error) {
	return resource.ExecSession{ProcessID: "x1", StdioSocket: "/stdio.sock"}, f.note(name, "exec %s %v %v %v", name, x.Process.Args, x.Privileged, x.Detach)
}

func (f *fakeContainers) WaitExec(_ context.Context, name, processID string) (int, error) {
	return 42, f.note(name, "wait exec %s %s", name, processID)
}

func (f *fakeContainers) KillExec(_ context.Context, name, processID, signal string) error {
	return f.note(name, "killexec %s %s %s", name, processID, signal)
}

func (f *fakeContainers) Resize(_ context.Context, name, processID string, size resource.TerminalSize) error {
	return f.note(name, "resize %s %s %dx%d", name, processID, size.Width, size.Height)
}

func (f *fakeContainers) Connect(_ context.Context, name string, wish resource.AttachmentConfiguration) (resource.Attachment, []string, error) {
	return resource.Attachment{InterfaceName: "eth1"}, []string{"careful"}, f.note(name, "connect %s %s %v", name, wish.Network, wish.IPv4Address)
}

func (f *fakeContainers) Disconnect(_ context.Context, name, network string, force bool) error {
	return f.note(name, "disconnect %s %s %v", name, network, force)
}

func (f *fakeContainers) Explain(_ context.Context, name, target string) ([]resource.Explanation, error) {
	return []resource.Explanation{{Target: target, Address: netip.MustParseAddr("10.0.0.7"), Route: resource.Explained{Answer: "default", Why: "alone"}}},
		f.note(name, "explain %s %s", name, target)
}

func (f *fakeContainers) Stats(_ context.Context, names []string, runningOnly bool) ([]resource.ContainerStats, error) {
	return []resource.ContainerStats{
		{ID: "1", Name: "web", Sample: resource.Sample{CPU: &resource.CPUUse{UsedNanoseconds: 7}}},
		{ID: "2", Name: "db", Fault: "does not answer"},
	}, f.note(names[0], "stats %v %v", names, runningOnly)
}

func (f *fakeContainers) CopyFrom(_ context.Context, name, path string, follow bool, send func(*typesv1.CopyPart) error) error {
	if err := f.note(name, "copy from %s %s %v", name, path, follow); err != nil {
		return err
	}
	return errors.Join(send(&typesv1.CopyPart{Source: &typesv1.CopySource{Name: "x", Directory: true}}), send(&typesv1.CopyPart{Data: []byte("archive")}), send(&typesv1.CopyPart{LeftOut: []string{"s"}}))
}

func (f *fakeContainers) CopyTo(_ context.Context, name, path string, keep bool, receive func() (*typesv1.CopyPart, error)) ([]string, error) {
	r, source, err := parts.Open(receive)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	return append(r.LeftOut, "d"), errors.Join(err, f.note(name, "copy to %s %s %v %s %s", name, path, keep, source.Name, content))
}

func serveContainers(t testing.TB) (apiserverv1connect.ContainerServiceClient, *fakeContainers) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	fake := &fakeContainers{calls: make(chan string, 1), follow: make(chan struct{})}
	for _, id := range []string{"1", "2"} {
		labels := map[string]string{"a": "b"} // for which a brief list has no column
		fake.all = append(fake.all, &snapshot.Of[resource.Container]{Value: resource.Container{Metadata: resource.Metadata{ID: id, Labels: labels}}})
	}
	server := rpc.NewServer(rpc.ServerConfig{
		Register: func(s *connect.Server) { apiserverv1connect.RegisterContainerServiceHandler(s, NewContainers(fake)) },
		Log:      slog.New(slog.DiscardHandler),
	})
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	c := apiclient.Dial(socket)
	t.Cleanup(func() {
		c.Close()
		server.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c.Containers, fake
}

// Every call goes through with all that it carries, and its error comes back
// with its kind.
func TestContainerCalls(t *testing.T) {
	t.Parallel()
	c, fake := serveContainers(t)
	ctx := context.Background()
	second := message.NewDuration(time.Second)
	for want, call := range map[string]func(name string) (any, any, error){
		"create %s map[k:v] box [ls] 1s": func(name string) (any, any, error) {
			r, err := c.Create(ctx, &apiserverv1.ContainerServiceCreateRequest{
				Name: name, Labels: map[string]string{"k": "v"},
				Template: &apiserverv1.ContainerTemplate{Image: "box", Command: []string{"ls"}, StopTimeout: second},
			})
			return []string{r.GetContainer().GetMetadata().GetId(), r.GetWarnings()[0]}, []string{"1", "careful"}, err
		},
		"get %s": func(name string) (any, any, error) {
			r, err := c.Get(ctx, &apiserverv1.ContainerServiceGetRequest{Name: name})
			return r.GetContainer().GetStatus().GetPid(), int64(7), err
		},
		"delete %s true": func(name string) (any, any, error) {
			_, err := c.Delete(ctx, &apiserverv1.ContainerServiceDeleteRequest{Name: name, Force: true})
			return nil, nil, err
		},
		"start %s true": func(name string) (any, any, error) {
			r, err := c.Start(ctx, &apiserverv1.ContainerServiceStartRequest{Name: name, Attach: true})
			return r.GetStdioSocket() + strings.Join(r.GetWarnings(), ","), "/stdio.sockcareful", err
		},
		"run %s 17 map[k:v] box [ls] true": func(name string) (any, any, error) {
			r, err := c.Run(ctx, &apiserverv1.ContainerServiceRunRequest{
				Id: "17", Name: name, Labels: map[string]string{"k": "v"}, Attach: true,
				Template: &apiserverv1.ContainerTemplate{Image: "box", Command: []string{"ls"}},
			})
			return r.GetId() + r.GetStdioSocket() + strings.Join(r.GetWarnings(), ","), "17/stdio.sockcareful", err
		},
		"stop %s 1s": func(name string) (any, any, error) {
			_, err := c.Stop(ctx, &apiserverv1.ContainerServiceStopRequest{Name: name, Timeout: second})
			return nil, nil, err
		},
		"kill %s HUP": func(name string) (any, any, error) {
			_, err := c.Kill(ctx, &apiserverv1.ContainerServiceKillRequest{Name: name, Signal: "HUP"})
			return nil, nil, err
		},
		"killexec %s x1 HUP": func(name string) (any, any, error) {
			_, err := c.KillExec(ctx, &apiserverv1.ContainerServiceKillExecRequest{Name: name, ProcessId: "x1", Signal: "HUP"})
			return nil, nil, err
		},
		"restart %s default": func(name string) (any, any, error) {
			r, err := c.Restart(ctx, &apiserverv1.ContainerServiceRestartRequest{Name: name})
			return strings.Join(r.GetWarnings(), ","), "careful", err
		},
		"wait %s true": func(name string) (any, any, error) {
			r, err := c.Wait(ctx, &apiserverv1.ContainerServiceWaitRequest{Name: name, Condition: apiserverv1.WaitCondition_WAIT_CONDITION_DELETED})
			return fmt.Sprint(r.GetExitCode(), r.GetMessage()), "3so it ended", err
		},
		"exec %s [ls] true true": func(name string) (any, any, error) {
			r, err := c.Exec(ctx, &apiserverv1.ContainerServiceExecRequest{Name: name, Process: &typesv1.Process{Args: []string{"ls"}}, Privileged: true, Detach: true})
			return r.GetProcessId() + r.GetStdioSocket(), "x1/stdio.sock", err
		},
		"wait exec %s x1": func(name string) (any, any, error) {
			r, err := c.WaitExec(ctx, &apiserverv1.ContainerServiceWaitExecRequest{Name: name, ProcessId: "x1"})
			return r.GetExitCode(), int32(42), err
		},
		"copy from %s /x true": func(name string) (any, any, error) {
			stream, err := c.CopyFrom(ctx, &apiserverv1.ContainerServiceCopyFromRequest{Name: name, Path: "/x", Follow: true})
			if err != nil {
				return nil, nil, err
			}
			defer stream.Close()
			r, source, err := parts.Open(func() (*typesv1.CopyPart, error) {
				message, err := stream.Receive()
				return message.GetPart(), err
			})
			if err != nil {
				return nil, nil, err
			}
			content, err := io.ReadAll(r)
			return fmt.Sprint(*source, string(content), r.LeftOut), "{x true false}archive[s]", err
		},
		"copy to %s /y true x archive": func(name string) (any, any, error) {
			stream, err := c.CopyTo(ctx)
			if err != nil {
				return nil, nil, err
			}
			for _, request := range []*apiserverv1.ContainerServiceCopyToRequest{
				{Name: name, Path: "/y", KeepOwners: true, Part: &typesv1.CopyPart{Source: &typesv1.CopySource{Name: "x"}}},
				{Part: &typesv1.CopyPart{Data: []byte("arch")}},
				{Part: &typesv1.CopyPart{Data: []byte("ive"), LeftOut: []string{"s"}}},
			} {
				if err := stream.Send(request); err != nil {
					return nil, nil, err
				}
			}
			r, err := stream.CloseAndReceive()
			return fmt.Sprint(r.GetLeftOut()), "[s d]", err
		},
		"resize %s x1 80x25": func(name string) (any, any, error) {
			_, err := c.Resize(ctx, &apiserverv1.ContainerServiceResizeRequest{Name: name, ProcessId: "x1", Width: 80, Height: 25})
			return nil, nil, err
		},
		"connect %s data 10.0.0.7": func(name string) (any, any, error) {
			r, err := c.Connect(ctx, &apiserverv1.ContainerServiceConnectRequest{
				Name: name, Network: &typesv1.AttachmentConfiguration{Network: "data", Ipv4Address: "10.0.0.7"},
			})
			return r.GetAttachment().GetInterfaceName() + strings.Join(r.GetWarnings(), ","), "eth1careful", err
		},
		"stats [%s db] true": func(name string) (any, any, error) {
			r, err := c.Stats(ctx, &apiserverv1.ContainerServiceStatsRequest{Names: []string{name, "db"}, RunningOnly: true})
			if err != nil {
				return nil, nil, err
			}
			web, db := r.GetContainers()[0], r.GetContainers()[1]
			return fmt.Sprint(web.GetId(), web.GetName(), web.GetSample().GetCpu().GetUsedNanoseconds(), db.GetName(), db.GetSample(), db.GetFault()), "1web7db<nil>does not answer", err
		},
		"disconnect %s data true": func(name string) (any, any, error) {
			_, err := c.Disconnect(ctx, &apiserverv1.ContainerServiceDisconnectRequest{Name: name, Network: "data", Force: true})
			return nil, nil, err
		},
		"explain %s db": func(name string) (any, any, error) {
			r, err := c.Explain(ctx, &apiserverv1.ContainerServiceExplainRequest{Name: name, Target: "db"})
			if err != nil {
				return nil, nil, err
			}
			e := r.GetExplanations()[0]
			return e.GetTarget() + e.GetAddress() + e.GetRoute().GetAnswer() + e.GetRoute().GetWhy(), "db10.0.0.7defaultalone", nil
		},
	} {
		for _, name := range []string{"none", "web"} {
			if name == "none" && strings.HasPrefix(want, "create") {
				continue // its answer is looked into
			}
			got, answer, err := call(name)
			if asked := <-fake.calls; asked != fmt.Sprintf(want, name) {
				t.Errorf("asked %q, want %q", asked, fmt.Sprintf(want, name))
			}
			if name == "none" {
				if !errors.Is(err, errdefs.ErrNotFound) {
					t.Errorf("%s: error %v", want, err)
				}
				continue
			}
			if diff := cmp.Diff(answer, got); diff != "" || err != nil {
				t.Errorf("%s: error %v, answer (-want +got):\n%s", want, err, diff)
			}
		}
	}
	list, err := c.List(ctx, &apiserverv1.ContainerServiceListRequest{All: true})
	if err != nil || len(list.GetContainers()) != 2 || <-fake.calls != "list true" {
		t.Errorf("list: %v, %v", list, err)
	}
	brief, err := c.List(ctx, &apiserverv1.ContainerServiceListRequest{All: true, Brief: true})
	if err != nil || len(brief.GetContainers()) != 2 || <-fake.calls != "list true" {
		t.Errorf("brief list: %v, %v", brief, err)
	}
	for i, b := range brief.GetContainers() {
		if b.GetMetadata().GetId() != list.GetContainers()[i].GetMetadata().GetId() || size(t, b) >= size(t, list.GetContainers()[i]) {
			t.Errorf("brief: %v, want less of %v", b, list.GetContainers()[i])
		}
	}
}

// A list that its caller wants in pieces is not read before that asks for them.
func TestContainerListInPieces(t *testing.T) {
	t.Parallel()
	c, _ := serveContainers(t)
	list, err := c.List(apiclient.InPieces(t.Context()), &apiserverv1.ContainerServiceListRequest{All: true})
	if err != nil || len(list.GetContainers()) != 0 {
		t.Fatalf("%d containers, %v", len(list.GetContainers()), err)
	}
	var got []string
	for part, err := range message.Parts(list) {
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range part.GetContainers() {
			got = append(got, strings.Clone(one.GetMetadata().GetId()))
		}
	}
	if want := []string{"1", "2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestContainerCreateRefusesWhatIsNotReadable(t *testing.T) {
	t.Parallel()
	c, _ := serveContainers(t)
	_, err := c.Create(context.Background(), &apiserverv1.ContainerServiceCreateRequest{Template: &apiserverv1.ContainerTemplate{
		Networks: []*typesv1.AttachmentConfiguration{{Network: "a", Ipv4Address: "x", MacAddress: "y"}},
	}})
	if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), `ipv4 address "x"`) || !strings.Contains(err.Error(), `mac address "y"`) {
		t.Errorf("error %v", err)
	}
}

// A log that is silent does not keep its reader's call from returning.
func TestContainerLogs(t *testing.T) {
	t.Parallel()
	c, fake := serveContainers(t)
	stream, err := c.Logs(context.Background(), &apiserverv1.ContainerServiceLogsRequest{Name: "web", Follow: true, Tail: 5, Since: message.NewTimestamp(time.Unix(9, 0))})
	if err != nil {
		t.Fatal(err)
	}
	if asked := <-fake.calls; asked != "logs web true 5 9" {
		t.Errorf("asked %q", asked)
	}
	close(fake.follow)
	entry, err := stream.Receive()
	if err != nil || !entry.GetStderr() || string(entry.GetData()) != "line\n" || entry.GetTime().AsTime().Unix() != 5 {
		t.Errorf("entry %v, %v", entry, err)
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
}

// An answer to a list that was sent before costs the same for any number of containers.
func TestListIsEncodedOnce(t *testing.T) {
	allocations := func(count int) float64 {
		harness := NewContainers(&fakeContainers{calls: make(chan string, 100), all: someContainers(count)})
		return testing.AllocsPerRun(10, func() {
			if _, err := harness.List(t.Context(), &apiserverv1.ContainerServiceListRequest{All: true}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocations(10), allocations(1000); many > few+10 {
		t.Errorf("a list of 10 takes %v allocations, one of 1000 %v", few, many)
	}
}

// size is that of a message in binary form.
func size(t *testing.T, m message.Message) int {
	t.Helper()
	data, err := message.Append(nil, m)
	if err != nil {
		t.Error(err)
	}
	return len(data)
}
