// Protoc-gen-plain generates the messages of api as plain structs, with an encoder and a
// decoder each, without reflection and without anything that is registered when a
// program begins (docs/decisions/0059). The code looks like that of protoc-gen-go to who
// uses the fields and getters. What api has no use for is refused.
package main

import (
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	protogen.Options{}.Run(func(p *protogen.Plugin) error {
		p.SupportedFeatures = uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL)
		for _, f := range p.Files {
			if !f.Generate {
				continue
			}
			if err := generate(p, f); err != nil {
				return err
			}
		}
		return nil
	})
}
