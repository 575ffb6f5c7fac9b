package rpc

import (
	"context"
	"errors"
	"time"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/apiserver/traces"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/internal/wire/span"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// System is the system service.
type System interface {
	// Info is without the checks, for which it takes others to answer.
	Info(ctx context.Context) resource.SystemInfo
	Checks(ctx context.Context) []resource.HostCheck
	// Shutdown returns what went wrong, one line each.
	Shutdown(ctx context.Context, stopTimeout time.Duration) []string
	SetKernel(ctx context.Context, image, modules string) (resource.Kernel, error)
	Kernel(ctx context.Context) (resource.Kernel, error)
	WarmKernel(ctx context.Context, memoryBytes, nanoCPUs int64, step func(string)) (resource.KernelTemplate, error)
	Events(ctx context.Context, q event.Query, send func(event.Event) error) error
}

// Traces is who collects spans.
type Traces interface {
	Listen(ctx context.Context, q traces.Query, finish <-chan struct{}, ready func() error, send func(trace.Record) error) (lost uint64, err error)
}

type systemHarness struct {
	apiserverv1connect.UnimplementedSystemServiceHandler
	service System
	traces  Traces
}

// NewSystem returns the harness of the system service.
func NewSystem(s System, t Traces) apiserverv1connect.SystemServiceHandler {
	return &systemHarness{service: s, traces: t}
}

func (h *systemHarness) Info(ctx context.Context, r *apiserverv1.InfoRequest) (*apiserverv1.InfoResponse, error) {
	info := h.service.Info(ctx)
	if !r.GetWithoutChecks() {
		info.Checks = h.service.Checks(ctx)
	}
	return apiwire.SystemInfoToProto(info), nil
}

func (h *systemHarness) Shutdown(ctx context.Context, r *apiserverv1.ShutdownRequest) (*apiserverv1.ShutdownResponse, error) {
	timeout := time.Duration(r.GetStopTimeoutSeconds()) * time.Second
	return &apiserverv1.ShutdownResponse{Faults: h.service.Shutdown(ctx, timeout)}, nil
}

func (h *systemHarness) SetKernel(ctx context.Context, r *apiserverv1.SetKernelRequest) (*apiserverv1.SetKernelResponse, error) {
	k, err := h.service.SetKernel(ctx, r.GetImage(), r.GetModules())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.SetKernelResponse{Kernel: apiwire.KernelToProto(k)}, nil
}

func (h *systemHarness) GetKernel(ctx context.Context, _ *apiserverv1.GetKernelRequest) (*apiserverv1.GetKernelResponse, error) {
	k, err := h.service.Kernel(ctx)
	if err != nil {
		return nil, err
	}
	return &apiserverv1.GetKernelResponse{Kernel: apiwire.KernelToProto(k)}, nil
}

func (h *systemHarness) WarmKernel(ctx context.Context, r *apiserverv1.WarmKernelRequest, stream apiserverv1connect.SystemServiceWarmKernelServerStream) error {
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var sendErr error
	t, err := h.service.WarmKernel(ctx, r.GetMemoryBytes(), r.GetNanoCpus(), func(step string) {
		if sendErr = stream.Send(&apiserverv1.WarmKernelResponse{Step: step}); sendErr != nil {
			cancel() // the caller has gone
		}
	})
	if err != nil {
		return errors.Join(sendErr, err)
	}
	return stream.Send(&apiserverv1.WarmKernelResponse{Template: apiwire.KernelTemplateToProto(t)})
}

func (h *systemHarness) Events(ctx context.Context, r *apiserverv1.EventsRequest, stream apiserverv1connect.SystemServiceEventsServerStream) error {
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	return h.service.Events(ctx, apiwire.EventQueryFromProto(r), func(e event.Event) error {
		return stream.Send(&apiserverv1.EventsResponse{Event: apiwire.EventToProto(e)})
	})
}

func (h *systemHarness) Trace(ctx context.Context, stream apiserverv1connect.SystemServiceTraceServerStream) error {
	r, err := stream.Receive()
	if err != nil {
		return err
	}
	id, err := span.TraceID(r.GetTraceId())
	if err != nil {
		return err
	}
	finish := make(chan struct{})
	go func() { // ends with the call
		defer close(finish)
		for {
			if _, err := stream.Receive(); err != nil {
				return
			}
		}
	}()
	lost, err := h.traces.Listen(ctx, traces.Query{Trace: id, Allocations: r.GetAllocations()}, finish,
		func() error { return stream.Send(&apiserverv1.TraceResponse{}) },
		func(r trace.Record) error { return stream.Send(&apiserverv1.TraceResponse{Span: span.ToProto(r)}) })
	if err != nil {
		return err
	}
	return stream.Send(&apiserverv1.TraceResponse{Lost: lost})
}
