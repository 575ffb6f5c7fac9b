// Package api describes the contracts to who needs to know of them when a program
// runs. The contracts themselves and their messages are in the packages below it.
package api

import _ "embed"

// Descriptors describes all files of api, with those that they import, as a
// google.protobuf.FileDescriptorSet in binary form.
//
//go:embed descriptors.binpb
var Descriptors []byte
