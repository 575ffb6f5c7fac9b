// Package system has the commands for patchbayd itself, for its host and for plugins.
package system
