// Package networks has the commands for networks.
package networks
