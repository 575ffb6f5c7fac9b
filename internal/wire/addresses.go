package wire

import (
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// RangesToProto converts address ranges.
func RangesToProto(rs []resource.AddressRange) []string {
	return field.Each(rs, resource.AddressRange.String)
}

// RangesFromProto converts address ranges.
func RangesFromProto(rs []string) ([]resource.AddressRange, error) {
	var f field.Faults
	out := field.Each(rs, func(s string) resource.AddressRange {
		r, err := resource.ParseAddressRange(s)
		f.Add(err)
		return r
	})
	return out, f.Err()
}

// addressUsage is the message of either contract.
type addressUsage interface {
	GetInUse() uint64
	GetTotal() uint64
	GetReserved() uint64
}

// AddressUsageFromProto converts the use of addresses, of the contract of network
// plugins or that of the API.
func AddressUsageFromProto(u addressUsage) resource.AddressUsage {
	return resource.AddressUsage{InUse: u.GetInUse(), Total: u.GetTotal(), Reserved: u.GetReserved()}
}
