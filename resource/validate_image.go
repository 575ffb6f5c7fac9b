package resource

import (
	"fmt"
	"path"
	"strings"
)

// Validate reports every fault of what an image is to give its containers.
func (c ImageRunConfiguration) Validate() error {
	var faults []error
	for _, e := range c.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			faults = append(faults, fmt.Errorf("environment %q: want NAME=VALUE", e))
		}
	}
	if w := c.WorkingDirectory; w != "" && !path.IsAbs(w) {
		faults = append(faults, fmt.Errorf("working directory %q: want an absolute path", w))
	}
	for _, v := range c.Volumes {
		if !path.IsAbs(v) {
			faults = append(faults, fmt.Errorf("volume %q: want an absolute path", v))
		}
	}
	return invalid(faults...)
}
