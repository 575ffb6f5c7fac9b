package parse

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"patchbay.dev/patchbay/resource"
)

// Routes parses the values of a repeated flag DESTINATION[=GATEWAY].
func Routes(values []string) ([]resource.Route, error) {
	var out []resource.Route
	var errs []error
	for _, v := range values {
		r, err := route(v)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, r)
	}
	return out, errors.Join(errs...)
}

func route(s string) (resource.Route, error) {
	to, by, given := strings.Cut(s, "=")
	destination, err := netip.ParsePrefix(to)
	var gateway netip.Addr
	if given && err == nil {
		gateway, err = netip.ParseAddr(by)
	}
	if err != nil {
		return resource.Route{}, fmt.Errorf("route %q: want DESTINATION[=GATEWAY], like 10.9.0.0/16 or 10.9.0.0/16=10.7.0.9", s)
	}
	return resource.Route{Destination: destination, Gateway: gateway}, nil
}
