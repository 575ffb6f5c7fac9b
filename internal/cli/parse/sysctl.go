package parse

import (
	"fmt"
	"slices"
	"strings"

	"patchbay.dev/patchbay/resource"
)

// setSysctl parses KEY=VALUE, the key with or without "net." at its beginning
// and IFNAME before its last word.
func setSysctl(a *resource.AttachmentConfiguration, s string) error {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" || value == "" {
		return fmt.Errorf("sysctl %q: want KEY=VALUE, like net.ipv4.conf.IFNAME.rp_filter=1", s)
	}
	parts := strings.Split(strings.TrimPrefix(key, "net."), ".")
	if len(parts) == 3 {
		parts = slices.Insert(parts, 2, resource.SysctlInterface)
	}
	key = "net." + strings.Join(parts, ".")
	if err := resource.ValidateSysctl(key, value); err != nil {
		return err
	}
	if _, twice := a.Sysctls[key]; twice {
		return fmt.Errorf("sysctl %s: given twice", key)
	}
	if a.Sysctls == nil {
		a.Sysctls = map[string]string{}
	}
	a.Sysctls[key] = value
	return nil
}
