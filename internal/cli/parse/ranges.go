package parse

import (
	"errors"

	"patchbay.dev/patchbay/resource"
)

// AddressRanges parses the values of a repeated flag with an address, a prefix
// or FIRST-LAST each.
func AddressRanges(values []string) ([]resource.AddressRange, error) {
	var out []resource.AddressRange
	var errs []error
	for _, v := range values {
		r, err := resource.ParseAddressRange(v)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, r)
	}
	return out, errors.Join(errs...)
}
