// Package networks keeps the networks of an instance: what users asked for, and
// for each network the one plugin process that realizes it.
//
// Every network has a supervisor of its own, a goroutine that starts its plugin
// or adopts a live one, starts it again when it dies, and follows its state. No
// lock is held over a call to a plugin, and every call has a deadline, so that a
// plugin that hangs, dies or answers garbage costs only its own network.
package networks
