package config

import (
	"errors"
	"fmt"
	"time"

	"patchbay.dev/patchbay/resource"
)

// virtualMachines is the table "vm" of config.toml.
type virtualMachines struct {
	Accelerator *string `toml:"accelerator"`
	Machine     *string `toml:"machine"`
	Channel     *string `toml:"channel"`
	UserIDs     *string `toml:"user-ids"`
	BootTimeout *string `toml:"boot-timeout"`
	Templates   *bool   `toml:"templates"`
}

func (v virtualMachines) complete() (resource.VirtualMachines, error) {
	out := resource.DefaultVirtualMachines()
	var faults []error
	if v.Accelerator != nil {
		out.Accelerator = resource.Accelerator(*v.Accelerator)
		if err := out.Accelerator.Validate(); err != nil {
			faults = append(faults, fmt.Errorf("vm.accelerator: %w", err))
		}
	}
	if v.Machine != nil {
		out.Type = resource.MachineType(*v.Machine)
		if err := out.Type.Validate(); err != nil {
			faults = append(faults, fmt.Errorf("vm.machine: %w", err))
		}
	}
	if v.Channel != nil {
		out.Channel = resource.MachineChannel(*v.Channel)
		if err := out.Channel.Validate(); err != nil {
			faults = append(faults, fmt.Errorf("vm.channel: %w", err))
		}
	}
	if v.UserIDs != nil {
		if err := out.UserIDs.UnmarshalText([]byte(*v.UserIDs)); err != nil {
			faults = append(faults, fmt.Errorf("vm.user-ids: %w", err))
		}
	}
	if v.BootTimeout != nil {
		d, err := time.ParseDuration(*v.BootTimeout)
		if err != nil || d <= 0 {
			faults = append(faults, fmt.Errorf("vm.boot-timeout: %q: want a duration like \"90s\"", *v.BootTimeout))
		}
		out.BootTimeout = d
	}
	if v.Templates != nil {
		out.Templates = *v.Templates
	}
	return out, errors.Join(faults...)
}
