package spec

import (
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// document is a specification as far as containers here have one. Package json learns
// a type with all the types in it before it uses it, and keeps that: of the whole
// specs.Spec, with other systems' and with what nobody sets, it takes every helper 200
// KiB of memory and a millisecond.
type document struct {
	Version     string            `json:"ociVersion"`
	Process     *specs.Process    `json:"process,omitempty"`
	Root        *specs.Root       `json:"root,omitempty"`
	Hostname    string            `json:"hostname,omitempty"`
	Mounts      []specs.Mount     `json:"mounts,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Linux       linuxDocument     `json:"linux"`
}

type linuxDocument struct {
	Sysctl        map[string]string      `json:"sysctl,omitempty"`
	Resources     resourcesDocument      `json:"resources"`
	CgroupsPath   string                 `json:"cgroupsPath,omitempty"`
	Namespaces    []specs.LinuxNamespace `json:"namespaces,omitempty"`
	Seccomp       *specs.LinuxSeccomp    `json:"seccomp,omitempty"`
	MaskedPaths   []string               `json:"maskedPaths,omitempty"`
	ReadonlyPaths []string               `json:"readonlyPaths,omitempty"`
}

type resourcesDocument struct {
	Devices []specs.LinuxDeviceCgroup `json:"devices,omitempty"`
	Memory  *specs.LinuxMemory        `json:"memory,omitempty"`
	CPU     *specs.LinuxCPU           `json:"cpu,omitempty"`
	Pids    *specs.LinuxPids          `json:"pids,omitempty"`
}

// Marshal returns config.json of what New has returned, and of what was added to its
// process and annotations.
func Marshal(s *specs.Spec) ([]byte, error) {
	l := s.Linux
	return json.Marshal(document{
		Version: s.Version, Process: s.Process, Root: s.Root, Hostname: s.Hostname, Mounts: s.Mounts, Annotations: s.Annotations,
		Linux: linuxDocument{
			Sysctl: l.Sysctl, CgroupsPath: l.CgroupsPath, Namespaces: l.Namespaces, Seccomp: l.Seccomp,
			MaskedPaths: l.MaskedPaths, ReadonlyPaths: l.ReadonlyPaths,
			Resources: resourcesDocument{
				Devices: l.Resources.Devices, Memory: l.Resources.Memory, CPU: l.Resources.CPU, Pids: l.Resources.Pids,
			},
		},
	})
}

// Learn has package json learn what Marshal needs, ahead of time.
func Learn() {
	_, _ = json.Marshal(document{}) // of nothing it does not fail
}
