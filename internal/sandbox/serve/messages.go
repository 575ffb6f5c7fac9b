package serve

import (
	"google.golang.org/protobuf/proto"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
)

// learnMessages has protobuf prepare itself for the messages of a start, which it
// does when it first meets one of a kind: here beside the wait for the first
// call, not in it.
func learnMessages() {
	for _, m := range []proto.Message{
		&sandboxv1.BootstrapRequest{}, &sandboxv1.RootFilesystem{}, &sandboxv1.BootstrapResponse{},
		&sandboxv1.WatchRequest{}, &sandboxv1.WatchResponse{}, &sandboxv1.StateResponse{}, &sandboxv1.ExitStatus{},
		&typesv1.Process{}, &typesv1.Mount{}, &typesv1.Resources{}, &typesv1.DNSConfiguration{},
		&typesv1.AllocatedAttachment{}, &typesv1.Attachment{}, &typesv1.PublishedPort{},
		&pluginv1.HoldRequest{}, &pluginv1.HoldResponse{},
	} {
		m.ProtoReflect().ProtoMethods()
	}
}
