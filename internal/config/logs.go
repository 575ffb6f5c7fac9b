package config

import (
	"errors"
	"fmt"
	"strconv"

	"patchbay.dev/patchbay/resource"
)

// logs is the table "log" of config.toml.
type logs struct {
	MaxSize *string `toml:"max-size"`
	MaxFile *int    `toml:"max-file"`
}

func (l logs) complete() (resource.LogLimits, error) {
	out := resource.DefaultLogLimits()
	var faults []error
	set := func(key, value string) {
		if err := out.Set(key, value); err != nil {
			faults = append(faults, fmt.Errorf("[log]: %w", err))
		}
	}
	if l.MaxSize != nil {
		set("max-size", *l.MaxSize)
	}
	if l.MaxFile != nil {
		set("max-file", strconv.Itoa(*l.MaxFile))
	}
	return out, errors.Join(faults...)
}
