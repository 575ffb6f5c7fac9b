package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/miekg/dns"
	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// world is a patchbayd that is measured, on a host of its own.
type world struct {
	runRoot string
	api     *apiclient.Client
}

func open(runRoot string) world {
	return world{runRoot, apiclient.Dial(filepath.Join(runRoot, "patchbayd.sock"))}
}

// createNetwork makes a network of the default plugin; an empty subnet leaves the
// choice to it.
func (w world) createNetwork(ctx context.Context, name, subnet string) error {
	_, err := w.api.Networks.Create(ctx, &apiserverv1.NetworkServiceCreateRequest{
		Name: name, Configuration: &apiserverv1.NetworkConfiguration{Ipv4Subnet: subnet},
	})
	return err
}

func (w world) deleteNetwork(ctx context.Context, name string) error {
	_, err := w.api.Networks.Delete(ctx, &apiserverv1.NetworkServiceDeleteRequest{Name: name})
	return err
}

// clear takes away what there is, whoever made it.
func (w world) clear(ctx context.Context) error {
	all, err := w.list(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, one := range all {
		faults = append(faults, w.remove(ctx, one.GetMetadata().GetName()))
	}
	_, err = w.api.Networks.Prune(ctx, &apiserverv1.NetworkServicePruneRequest{})
	return errors.Join(append(faults, err)...)
}

// box is a container that waits.
type box struct {
	name      string
	networks  []string
	firstPort int // of the host and of the container alike
	ports     int
}

// start makes a container and starts it.
func (w world) start(ctx context.Context, b box) error {
	template := &apiserverv1.ContainerTemplate{Image: "box:latest", Command: []string{"sleep", "1000000"}}
	for _, n := range b.networks {
		template.Networks = append(template.Networks, &typesv1.AttachmentConfiguration{Network: n})
	}
	for i := range uint32(b.ports) {
		port := uint32(b.firstPort) + i
		template.Ports = append(template.Ports, &typesv1.PublishedPort{Protocol: "tcp", HostPort: port, ContainerPort: port})
	}
	if _, err := w.api.Containers.Create(ctx, &apiserverv1.ContainerServiceCreateRequest{Name: b.name, Template: template}); err != nil {
		return err
	}
	_, err := w.api.Containers.Start(ctx, &apiserverv1.ContainerServiceStartRequest{Name: b.name})
	return err
}

// remove stops a container, without waiting for it to agree, and deletes it.
func (w world) remove(ctx context.Context, name string) error {
	_, err := w.api.Containers.Stop(ctx, &apiserverv1.ContainerServiceStopRequest{Name: name, Timeout: message.NewDuration(0)})
	if err != nil {
		return err
	}
	_, err = w.api.Containers.Delete(ctx, &apiserverv1.ContainerServiceDeleteRequest{Name: name})
	return err
}

func (w world) connect(ctx context.Context, name, network string) error {
	_, err := w.api.Containers.Connect(ctx, &apiserverv1.ContainerServiceConnectRequest{
		Name: name, Network: &typesv1.AttachmentConfiguration{Network: network},
	})
	return err
}

func (w world) disconnect(ctx context.Context, name, network string) error {
	_, err := w.api.Containers.Disconnect(ctx, &apiserverv1.ContainerServiceDisconnectRequest{Name: name, Network: network})
	return err
}

func (w world) list(ctx context.Context) ([]*apiserverv1.Container, error) {
	answer, err := w.api.Containers.List(ctx, &apiserverv1.ContainerServiceListRequest{All: true})
	return answer.GetContainers(), err
}

func (w world) inspect(ctx context.Context, name string) (*apiserverv1.Container, error) {
	answer, err := w.api.Containers.Get(ctx, &apiserverv1.ContainerServiceGetRequest{Name: name})
	return answer.GetContainer(), err
}

// command runs the command line.
func (w world) command(ctx context.Context, args ...string) error {
	c := exec.CommandContext(ctx, "patchbay", args...)
	c.Env = append(os.Environ(), layout.RunRootVariable+"="+w.runRoot)
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("patchbay %v: %w: %s", args, err, out)
	}
	return nil
}

// resolver asks from within a container.
type resolver struct{ connection *dns.Conn }

// dialResolver connects to the resolver of the container whose main process has
// that pid.
func dialResolver(pid int64) (resolver, error) {
	inside, err := netns.OpenPath(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return resolver{}, err
	}
	defer inside.Close()
	var r resolver
	err = inside.Do(func() error {
		c, err := net.Dial("udp", net.JoinHostPort(resource.ResolverAddress.String(), "53"))
		r.connection = &dns.Conn{Conn: c}
		return err
	})
	return r, err
}

// resolve asks for the IPv4 address of a name; no address is an error.
func (r resolver) resolve(name string) error {
	const patience = 5 * time.Second
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	if err := r.connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := r.connection.WriteMsg(question); err != nil {
		return err
	}
	answer, err := r.connection.ReadMsg()
	if err != nil {
		return err
	}
	if answer.Id != question.Id || len(answer.Answer) == 0 {
		return fmt.Errorf("name %s: %w: %v", name, errNoAddress, answer)
	}
	return nil
}

var errNoAddress = errors.New("does not resolve")
