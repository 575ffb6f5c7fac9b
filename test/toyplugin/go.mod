module example.com/toyplugin

go 1.26.6

require (
	github.com/containerd/errdefs v1.0.0
	github.com/vishvananda/netlink v1.3.1
	github.com/vishvananda/netns v0.0.5
	golang.org/x/sys v0.49.0
	patchbay.dev/patchbay v0.0.0
)

require (
	connectrpc.com/connect/v2 v2.0.2 // indirect
	github.com/gaissmai/bart v0.30.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace patchbay.dev/patchbay => ../..
