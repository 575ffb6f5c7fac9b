package rpc

import (
	"context"
	"time"

	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// Containers is the container service.
type Containers interface {
	ContainerConfigurations
	ContainerRuns
	ContainerMeter
	ContainerProcesses
	ContainerNetworks
	ContainerFiles
}

// ContainerConfigurations keeps what users ask of containers.
type ContainerConfigurations interface {
	Create(ctx context.Context, name string, labels map[string]string, t resource.ContainerTemplate) (c resource.Container, warnings []string, err error)
	List(ctx context.Context, all bool) ([]*snapshot.Of[resource.Container], error)
	Get(ctx context.Context, name string) (resource.Container, error)
	Delete(ctx context.Context, name string, force bool) error
}

// ContainerRuns starts and ends containers. A nil timeout is the container's.
type ContainerRuns interface {
	Start(ctx context.Context, name string, attach bool) (resource.StartedContainer, error)
	Run(ctx context.Context, r resource.Run) (resource.StartedContainer, error)
	Stop(ctx context.Context, name string, timeout *time.Duration) error
	Kill(ctx context.Context, name, signal string) error
	Restart(ctx context.Context, name string, timeout *time.Duration) (resource.StartedContainer, error)
	Wait(ctx context.Context, name string, deleted bool) (resource.ContainerExit, error)
	Logs(ctx context.Context, name string, q resource.LogQuery, f func(resource.LogEntry) error) error
}

// ContainerMeter tells what containers have used.
type ContainerMeter interface {
	Stats(ctx context.Context, names []string, runningOnly bool) ([]resource.ContainerStats, error)
}

// ContainerProcesses reaches processes in running containers.
type ContainerProcesses interface {
	Exec(ctx context.Context, name string, x resource.Exec) (resource.ExecSession, error)
	WaitExec(ctx context.Context, name, processID string) (code int, err error)
	KillExec(ctx context.Context, name, processID, signal string) error
	Resize(ctx context.Context, name, processID string, size resource.TerminalSize) error
}

// ContainerNetworks changes which networks a container is on, and says why the
// network of a running one is as it is.
type ContainerNetworks interface {
	Connect(ctx context.Context, name string, wish resource.AttachmentConfiguration) (a resource.Attachment, warnings []string, err error)
	Disconnect(ctx context.Context, name, network string, force bool) error
	Explain(ctx context.Context, name, target string) ([]resource.Explanation, error)
}

type containerHarness struct {
	apiserverv1connect.UnimplementedContainerServiceHandler
	service Containers
}

// NewContainers returns the harness of the container service.
func NewContainers(s Containers) apiserverv1connect.ContainerServiceHandler {
	return &containerHarness{service: s}
}

func (h *containerHarness) Create(ctx context.Context, r *apiserverv1.ContainerServiceCreateRequest) (*apiserverv1.ContainerServiceCreateResponse, error) {
	template, err := apiwire.ContainerTemplateFromProto(r.GetTemplate())
	if err != nil {
		return nil, err
	}
	c, warnings, err := h.service.Create(ctx, r.GetName(), r.GetLabels(), template)
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceCreateResponse{Container: apiwire.ContainerToProto(c), Warnings: warnings}, nil
}

func (h *containerHarness) Start(ctx context.Context, r *apiserverv1.ContainerServiceStartRequest) (*apiserverv1.ContainerServiceStartResponse, error) {
	started, err := h.service.Start(ctx, r.GetName(), r.GetAttach())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceStartResponse{StdioSocket: started.StdioSocket, Warnings: started.Warnings}, nil
}

func (h *containerHarness) Run(ctx context.Context, r *apiserverv1.ContainerServiceRunRequest) (*apiserverv1.ContainerServiceRunResponse, error) {
	template, err := apiwire.ContainerTemplateFromProto(r.GetTemplate())
	if err != nil {
		return nil, err
	}
	started, err := h.service.Run(ctx, resource.Run{
		ID: r.GetId(), Name: r.GetName(), Labels: r.GetLabels(), Template: template, Attach: r.GetAttach(),
	})
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceRunResponse{Id: started.ID, StdioSocket: started.StdioSocket, Warnings: started.Warnings}, nil
}

func (h *containerHarness) Stop(ctx context.Context, r *apiserverv1.ContainerServiceStopRequest) (*apiserverv1.ContainerServiceStopResponse, error) {
	return &apiserverv1.ContainerServiceStopResponse{}, h.service.Stop(ctx, r.GetName(), timeout(r.GetTimeout()))
}

func (h *containerHarness) Kill(ctx context.Context, r *apiserverv1.ContainerServiceKillRequest) (*apiserverv1.ContainerServiceKillResponse, error) {
	return &apiserverv1.ContainerServiceKillResponse{}, h.service.Kill(ctx, r.GetName(), r.GetSignal())
}

func (h *containerHarness) Restart(ctx context.Context, r *apiserverv1.ContainerServiceRestartRequest) (*apiserverv1.ContainerServiceRestartResponse, error) {
	started, err := h.service.Restart(ctx, r.GetName(), timeout(r.GetTimeout()))
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceRestartResponse{Warnings: started.Warnings}, nil
}

func (h *containerHarness) Wait(ctx context.Context, r *apiserverv1.ContainerServiceWaitRequest) (*apiserverv1.ContainerServiceWaitResponse, error) {
	exit, err := h.service.Wait(ctx, r.GetName(), r.GetCondition() == apiserverv1.WaitCondition_WAIT_CONDITION_DELETED)
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceWaitResponse{ExitCode: int32(exit.Code), Message: exit.Message}, nil
}

func (h *containerHarness) List(ctx context.Context, r *apiserverv1.ContainerServiceListRequest) (*apiserverv1.ContainerServiceListResponse, error) {
	list, err := h.service.List(ctx, r.GetAll())
	if err != nil {
		return nil, err
	}
	form, convert := snapshot.Whole, apiwire.ContainerToProto
	if r.GetBrief() {
		form, convert = snapshot.Brief, apiwire.ContainerBriefToProto
	}
	var out apiserverv1.ContainerServiceListResponse
	return &out, encodeList(&out, list, form, func(c *resource.Container) message.Message {
		return &apiserverv1.ContainerServiceListResponse{Containers: []*apiserverv1.Container{convert(*c)}}
	})
}

func (h *containerHarness) Get(ctx context.Context, r *apiserverv1.ContainerServiceGetRequest) (*apiserverv1.ContainerServiceGetResponse, error) {
	c, err := h.service.Get(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceGetResponse{Container: apiwire.ContainerToProto(c)}, nil
}

func (h *containerHarness) Delete(ctx context.Context, r *apiserverv1.ContainerServiceDeleteRequest) (*apiserverv1.ContainerServiceDeleteResponse, error) {
	return &apiserverv1.ContainerServiceDeleteResponse{}, h.service.Delete(ctx, r.GetName(), r.GetForce())
}

func (h *containerHarness) Logs(ctx context.Context, r *apiserverv1.ContainerServiceLogsRequest, stream apiserverv1connect.ContainerServiceLogsServerStream) error {
	// Else a client waits for the first entry before its call returns.
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	query := resource.LogQuery{Follow: r.GetFollow(), Tail: r.GetTail()}
	if r.GetSince() != nil {
		query.Since = r.GetSince().AsTime()
	}
	return h.service.Logs(ctx, r.GetName(), query, func(e resource.LogEntry) error {
		return stream.Send(&apiserverv1.ContainerServiceLogsResponse{Time: message.NewTimestamp(e.Time), Stderr: e.Stderr, Data: e.Data})
	})
}

func (h *containerHarness) Exec(ctx context.Context, r *apiserverv1.ContainerServiceExecRequest) (*apiserverv1.ContainerServiceExecResponse, error) {
	session, err := h.service.Exec(ctx, r.GetName(), resource.Exec{
		Process: wire.ProcessFromProto(r.GetProcess()), Privileged: r.GetPrivileged(), Detach: r.GetDetach(),
	})
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceExecResponse{ProcessId: session.ProcessID, StdioSocket: session.StdioSocket}, nil
}

func (h *containerHarness) WaitExec(ctx context.Context, r *apiserverv1.ContainerServiceWaitExecRequest) (*apiserverv1.ContainerServiceWaitExecResponse, error) {
	code, err := h.service.WaitExec(ctx, r.GetName(), r.GetProcessId())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceWaitExecResponse{ExitCode: int32(code)}, nil
}

func (h *containerHarness) KillExec(ctx context.Context, r *apiserverv1.ContainerServiceKillExecRequest) (*apiserverv1.ContainerServiceKillExecResponse, error) {
	return &apiserverv1.ContainerServiceKillExecResponse{}, h.service.KillExec(ctx, r.GetName(), r.GetProcessId(), r.GetSignal())
}

func (h *containerHarness) Resize(ctx context.Context, r *apiserverv1.ContainerServiceResizeRequest) (*apiserverv1.ContainerServiceResizeResponse, error) {
	size := resource.TerminalSize{Width: int(r.GetWidth()), Height: int(r.GetHeight())}
	return &apiserverv1.ContainerServiceResizeResponse{}, h.service.Resize(ctx, r.GetName(), r.GetProcessId(), size)
}

// timeout returns nil for one that is not set.
func timeout(d *message.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	out := d.AsDuration()
	return &out
}

func (h *containerHarness) Explain(ctx context.Context, r *apiserverv1.ContainerServiceExplainRequest) (*apiserverv1.ContainerServiceExplainResponse, error) {
	explanations, err := h.service.Explain(ctx, r.GetName(), r.GetTarget())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceExplainResponse{Explanations: wire.ExplanationsToProto(explanations)}, nil
}

func (h *containerHarness) Stats(ctx context.Context, r *apiserverv1.ContainerServiceStatsRequest) (*apiserverv1.ContainerServiceStatsResponse, error) {
	all, err := h.service.Stats(ctx, r.GetNames(), r.GetRunningOnly())
	if err != nil {
		return nil, err
	}
	var out apiserverv1.ContainerServiceStatsResponse
	for _, s := range all {
		out.Containers = append(out.Containers, apiwire.ContainerStatsToProto(s))
	}
	return &out, nil
}

func (h *containerHarness) Connect(ctx context.Context, r *apiserverv1.ContainerServiceConnectRequest) (*apiserverv1.ContainerServiceConnectResponse, error) {
	wish, err := wire.AttachmentConfigurationFromProto(r.GetNetwork())
	if err != nil {
		return nil, err
	}
	a, warnings, err := h.service.Connect(ctx, r.GetName(), wish)
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceConnectResponse{Attachment: wire.AttachmentToProto(a), Warnings: warnings}, nil
}

func (h *containerHarness) Disconnect(ctx context.Context, r *apiserverv1.ContainerServiceDisconnectRequest) (*apiserverv1.ContainerServiceDisconnectResponse, error) {
	return &apiserverv1.ContainerServiceDisconnectResponse{}, h.service.Disconnect(ctx, r.GetName(), r.GetNetwork(), r.GetForce())
}
