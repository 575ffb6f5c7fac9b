// Package resolver answers the DNS queries of one container (RFC 1035): names of
// what is on its networks from the plugins of those networks, other names from
// the name servers that its user or its host names.
//
// It knows neither sandboxes nor how a plugin or a name server is reached: both
// are interfaces, so that it can serve inside of a virtual machine too.
package resolver
