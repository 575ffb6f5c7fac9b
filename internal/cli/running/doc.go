// Package running has the commands that run containers: from their making to their end, and
// what is done in them meanwhile.
package running
