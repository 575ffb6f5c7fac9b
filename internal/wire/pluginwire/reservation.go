package pluginwire

import (
	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// Reservation is static addresses set aside for a key.
type Reservation struct {
	Key, Owner    string
	Configuration resource.AttachmentConfiguration // its addresses only
}

// ReservationToProto converts a reservation.
func ReservationToProto(r Reservation) *pluginv1.Reservation {
	return &pluginv1.Reservation{
		Key:         r.Key,
		Owner:       r.Owner,
		Ipv4Address: field.AddrString(r.Configuration.IPv4Address),
		Ipv6Address: field.AddrString(r.Configuration.IPv6Address),
		MacAddress:  string(r.Configuration.MACAddress),
	}
}

// ReservationFromProto converts a reservation.
func ReservationFromProto(r *pluginv1.Reservation) (Reservation, error) {
	var f field.Faults
	out := Reservation{Key: r.GetKey(), Owner: r.GetOwner(), Configuration: resource.AttachmentConfiguration{
		IPv4Address: f.Addr("ipv4 address", r.GetIpv4Address()),
		IPv6Address: f.Addr("ipv6 address", r.GetIpv6Address()),
		MACAddress:  f.MAC(r.GetMacAddress()),
	}}
	return out, f.Err()
}
