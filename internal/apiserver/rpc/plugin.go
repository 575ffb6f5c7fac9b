package rpc

import (
	"context"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// Plugins is the plugin service.
type Plugins interface {
	List() ([]resource.Plugin, error)
	Get(name string) (resource.Plugin, error)
	Restart(ctx context.Context, name, network string) ([]resource.PluginInstance, error)
}

type pluginHarness struct {
	apiserverv1connect.UnimplementedPluginServiceHandler
	service Plugins
}

// NewPlugins returns the harness of the plugin service.
func NewPlugins(s Plugins) apiserverv1connect.PluginServiceHandler {
	return &pluginHarness{service: s}
}

func (h *pluginHarness) List(context.Context, *apiserverv1.PluginServiceListRequest) (*apiserverv1.PluginServiceListResponse, error) {
	all, err := h.service.List()
	if err != nil {
		return nil, err
	}
	return &apiserverv1.PluginServiceListResponse{Plugins: apiwire.PluginsToProto(all)}, nil
}

func (h *pluginHarness) Get(_ context.Context, r *apiserverv1.PluginServiceGetRequest) (*apiserverv1.PluginServiceGetResponse, error) {
	p, err := h.service.Get(r.GetName())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.PluginServiceGetResponse{Plugin: apiwire.PluginToProto(p)}, nil
}

func (h *pluginHarness) Restart(ctx context.Context, r *apiserverv1.PluginServiceRestartRequest) (*apiserverv1.PluginServiceRestartResponse, error) {
	restarted, err := h.service.Restart(ctx, r.GetName(), r.GetNetwork())
	if err != nil {
		return nil, err
	}
	return &apiserverv1.PluginServiceRestartResponse{Instances: apiwire.PluginInstancesToProto(restarted)}, nil
}
