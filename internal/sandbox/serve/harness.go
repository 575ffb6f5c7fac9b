package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"patchbay.dev/patchbay/api/message"
	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/api/patchbay/sandbox/v1/sandboxv1connect"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/sandbox/copying"
	"patchbay.dev/patchbay/internal/wire"
)

// harness serves a sandbox: it decodes, calls and encodes, and decides nothing.
type harness struct {
	copying.Service
	sandbox *sandbox.Sandbox
	config  Config
	release func() // says that the helper has a sandbox, and outlives who started it
}

var _ sandboxv1connect.SandboxServiceHandler = (*harness)(nil)

// Hello agrees on a protocol version.
func (h *harness) Hello(_ context.Context, r *sandboxv1.HelloRequest) (*sandboxv1.HelloResponse, error) {
	if r.GetMinProtocol() > sandbox.Protocol || r.GetMaxProtocol() < sandbox.Protocol {
		return nil, fmt.Errorf("protocol %d to %d: want a range that holds %d: %w",
			r.GetMinProtocol(), r.GetMaxProtocol(), sandbox.Protocol, errdefs.ErrFailedPrecondition)
	}
	return &sandboxv1.HelloResponse{
		MinProtocol: sandbox.Protocol, MaxProtocol: sandbox.Protocol, Name: h.config.Name, Version: h.config.Version,
		Strategies: slices.Sorted(maps.Keys(h.config.Strategies)),
	}, nil
}

// Prepare begins with the sandbox.
func (h *harness) Prepare(ctx context.Context, r *sandboxv1.PrepareRequest) (*sandboxv1.PrepareResponse, error) {
	h.release()
	c, err := bootstrapConfig(r.GetContainer())
	if err != nil {
		return nil, err
	}
	return &sandboxv1.PrepareResponse{}, h.sandbox.Prepare(ctx, c)
}

// Bootstrap makes the sandbox.
func (h *harness) Bootstrap(ctx context.Context, r *sandboxv1.BootstrapRequest) (*sandboxv1.BootstrapResponse, error) {
	h.release()
	c, err := bootstrapConfig(r)
	if err != nil {
		return nil, err
	}
	made, err := h.sandbox.Bootstrap(ctx, c)
	if err != nil {
		return nil, err
	}
	return &sandboxv1.BootstrapResponse{
		Pid:         int64(made.PID),
		Attachments: wire.AttachmentsToProto(made.Attachments),
		StdioSocket: h.sandbox.StdioSocket(),
		StartedAt:   timestamp(made.StartedAt),
		Warnings:    made.Warnings,
		Errand:      made.Errand,
	}, nil
}

// Open makes the root file system alone.
func (h *harness) Open(ctx context.Context, r *sandboxv1.OpenRequest) (*sandboxv1.OpenResponse, error) {
	h.release()
	c, err := bootstrapConfig(r.GetContainer())
	if err != nil {
		return nil, err
	}
	return &sandboxv1.OpenResponse{}, h.sandbox.Open(ctx, c)
}

func bootstrapConfig(r *sandboxv1.BootstrapRequest) (sandbox.BootstrapConfig, error) {
	allocated, err1 := wire.AllocatedAttachmentsFromProto(r.GetAttachments())
	dns, err2 := wire.DNSFromProto(r.GetDns())
	hosts, err3 := wire.ExtraHostsFromProto(r.GetExtraHosts())
	ports, err4 := wire.PublishedPortsFromProto(r.GetPorts())
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return sandbox.BootstrapConfig{}, err
	}
	root := r.GetRootFilesystem()
	return sandbox.BootstrapConfig{
		Configuration: sandbox.Configuration{
			ID:       r.GetId(),
			Name:     r.GetName(),
			Hostname: cmp.Or(r.GetHostname(), r.GetId()[:min(12, len(r.GetId()))]),
			Process:  wire.ProcessFromProto(r.GetProcess()),
			RootFilesystem: sandbox.RootFilesystem{
				LowerDirectories: root.GetLowerDirectories(),
				UpperDirectory:   root.GetUpperDirectory(),
				WorkDirectory:    root.GetWorkDirectory(),
				ReadOnly:         root.GetReadOnly(),
				Discardable:      root.GetDiscardable(),
			},
			Mounts:           wire.MountsFromProto(r.GetMounts()),
			Resources:        wire.ResourcesFromProto(r.GetResources()),
			CapabilitiesAdd:  r.GetCapabilitiesAdd(),
			CapabilitiesDrop: r.GetCapabilitiesDrop(),
			Init:             r.GetInit(),
			DNS:              dns,
			AwaitAttach:      r.GetAwaitAttach(),
		},
		StateDir:  r.GetStateDirectory(),
		Allocated: allocated,
		Hosts:     hosts,
		Ports:     ports,
		LogPath:   r.GetLogPath(),
		LogLimits: wire.LogLimitsFromProto(r.GetLogLimits()),
		Start:     r.GetStart(),
	}, nil
}

// Start starts the main process.
func (h *harness) Start(ctx context.Context, _ *sandboxv1.StartRequest) (*sandboxv1.StartResponse, error) {
	at, err := h.sandbox.Start(ctx)
	if err != nil {
		return nil, err
	}
	return &sandboxv1.StartResponse{StartedAt: message.NewTimestamp(at)}, nil
}

var states = map[sandbox.State]sandboxv1.SandboxState{
	sandbox.Empty:   sandboxv1.SandboxState_SANDBOX_STATE_EMPTY,
	sandbox.Created: sandboxv1.SandboxState_SANDBOX_STATE_CREATED,
	sandbox.Running: sandboxv1.SandboxState_SANDBOX_STATE_RUNNING,
	sandbox.Stopped: sandboxv1.SandboxState_SANDBOX_STATE_STOPPED,
}

// State says what is true now.
func (h *harness) State(context.Context, *sandboxv1.StateRequest) (*sandboxv1.StateResponse, error) {
	return h.state(h.sandbox.Status()), nil
}

// Watch sends the state and its changes.
func (h *harness) Watch(ctx context.Context, _ *sandboxv1.WatchRequest, stream sandboxv1connect.SandboxServiceWatchServerStream) error {
	return h.sandbox.Watch(ctx, func(s sandbox.Status) error {
		return stream.Send(&sandboxv1.WatchResponse{State: h.state(s)})
	})
}

func (h *harness) state(s sandbox.Status) *sandboxv1.StateResponse {
	out := &sandboxv1.StateResponse{
		State:       states[s.State],
		Pid:         int64(s.PID),
		StartedAt:   timestamp(s.StartedAt),
		Attachments: wire.AttachmentsToProto(s.Attachments),
		Faults:      s.Faults,
		Machine:     wire.MachineToProto(s.Machine),
	}
	if s.State != sandbox.Empty {
		out.StdioSocket = h.sandbox.StdioSocket()
	}
	if s.State == sandbox.Stopped {
		out.Exit = exitToProto(s.Exit)
	}
	return out
}

func timestamp(t time.Time) *message.Timestamp {
	if t.IsZero() {
		return nil
	}
	return message.NewTimestamp(t)
}

func exitToProto(e sandbox.ExitStatus) *sandboxv1.ExitStatus {
	return &sandboxv1.ExitStatus{
		Code: int32(e.Code), ExitedAt: timestamp(e.ExitedAt), OutOfMemory: e.OutOfMemory, Message: e.Message,
	}
}

// Wait returns when a process has exited.
func (h *harness) Wait(ctx context.Context, r *sandboxv1.WaitRequest) (*sandboxv1.WaitResponse, error) {
	exit, err := h.sandbox.WaitProcess(ctx, r.GetProcessId())
	if err != nil {
		return nil, err
	}
	return &sandboxv1.WaitResponse{Exit: exitToProto(exit)}, nil
}

// Signal sends a signal.
func (h *harness) Signal(ctx context.Context, r *sandboxv1.SignalRequest) (*sandboxv1.SignalResponse, error) {
	h.sandbox.Cause.Note(ctx)
	return &sandboxv1.SignalResponse{}, h.sandbox.Signal(r.GetProcessId(), syscall.Signal(r.GetSignal()), r.GetAll())
}

// Exec starts a further process.
func (h *harness) Exec(ctx context.Context, r *sandboxv1.ExecRequest) (*sandboxv1.ExecResponse, error) {
	name, err := h.sandbox.Exec(ctx, sandbox.ExecConfiguration{
		Process: wire.ProcessFromProto(r.GetProcess()), Privileged: r.GetPrivileged(), Detach: r.GetDetach(),
	})
	if err != nil {
		return nil, err
	}
	return &sandboxv1.ExecResponse{ProcessId: name, StdioSocket: h.sandbox.StdioSocket()}, nil
}

// Resize sets the size of a terminal.
func (h *harness) Resize(_ context.Context, r *sandboxv1.ResizeRequest) (*sandboxv1.ResizeResponse, error) {
	width, height := min(r.GetWidth(), math.MaxUint16), min(r.GetHeight(), math.MaxUint16)
	return &sandboxv1.ResizeResponse{}, h.sandbox.Resize(r.GetProcessId(), uint16(width), uint16(height))
}

// Shutdown ends the sandbox.
func (h *harness) Shutdown(ctx context.Context, _ *sandboxv1.ShutdownRequest) (*sandboxv1.ShutdownResponse, error) {
	return &sandboxv1.ShutdownResponse{}, h.sandbox.Shutdown(ctx)
}

// Explain says which way packets take.
func (h *harness) Explain(ctx context.Context, r *sandboxv1.ExplainRequest) (*sandboxv1.ExplainResponse, error) {
	explanations, err := h.sandbox.Explain(ctx, r.GetTarget())
	if err != nil {
		return nil, err
	}
	return &sandboxv1.ExplainResponse{Explanations: wire.ExplanationsToProto(explanations)}, nil
}

// Stats says what the sandbox has used.
func (h *harness) Stats(ctx context.Context, _ *sandboxv1.StatsRequest) (*sandboxv1.StatsResponse, error) {
	sample, err := h.sandbox.Stats(ctx)
	if err != nil {
		return nil, err
	}
	return &sandboxv1.StatsResponse{Sample: wire.SampleToProto(sample)}, nil
}

// Connect makes one more interface.
func (h *harness) Connect(ctx context.Context, r *sandboxv1.ConnectRequest) (*sandboxv1.ConnectResponse, error) {
	allocated, err := wire.AllocatedAttachmentFromProto(r.GetAttachment())
	if err != nil {
		return nil, err
	}
	attachments, err := h.sandbox.Connect(ctx, allocated)
	if err != nil {
		return nil, err
	}
	return &sandboxv1.ConnectResponse{Attachments: wire.AttachmentsToProto(attachments)}, nil
}

// Disconnect removes an interface.
func (h *harness) Disconnect(ctx context.Context, r *sandboxv1.DisconnectRequest) (*sandboxv1.DisconnectResponse, error) {
	attachments, err := h.sandbox.Disconnect(ctx, r.GetInterfaceName())
	if err != nil {
		return nil, err
	}
	return &sandboxv1.DisconnectResponse{Attachments: wire.AttachmentsToProto(attachments)}, nil
}
