// Package containers has the commands that show, copy from and delete containers.
package containers
