package rpc

import (
	"context"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/resource"
)

// Registries is the service of registry credentials behind the harness.
type Registries interface {
	Login(ctx context.Context, registry, username, password string) error
	Logout(ctx context.Context, registry string) error
	Logins(ctx context.Context) ([]resource.RegistryLogin, error)
}

type registryHarness struct{ registries Registries }

var _ apiserverv1connect.RegistryServiceHandler = registryHarness{}

// NewRegistries returns the harness of the service of registry credentials.
func NewRegistries(registries Registries) apiserverv1connect.RegistryServiceHandler {
	return registryHarness{registries}
}

func (h registryHarness) Login(ctx context.Context, req *apiserverv1.LoginRequest) (*apiserverv1.LoginResponse, error) {
	if err := h.registries.Login(ctx, req.GetRegistry(), req.GetUsername(), req.GetPassword()); err != nil {
		return nil, err
	}
	return &apiserverv1.LoginResponse{}, nil
}

func (h registryHarness) Logout(ctx context.Context, req *apiserverv1.LogoutRequest) (*apiserverv1.LogoutResponse, error) {
	if err := h.registries.Logout(ctx, req.GetRegistry()); err != nil {
		return nil, err
	}
	return &apiserverv1.LogoutResponse{}, nil
}

func (h registryHarness) List(ctx context.Context, _ *apiserverv1.RegistryServiceListRequest) (*apiserverv1.RegistryServiceListResponse, error) {
	logins, err := h.registries.Logins(ctx)
	if err != nil {
		return nil, err
	}
	response := &apiserverv1.RegistryServiceListResponse{}
	for _, l := range logins {
		response.Logins = append(response.Logins, &apiserverv1.RegistryLogin{Registry: l.Registry, Username: l.Username})
	}
	return response, nil
}
