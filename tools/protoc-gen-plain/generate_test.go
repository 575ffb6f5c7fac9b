package main

import (
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"patchbay.dev/patchbay/api"
)

// run generates the code of those files of a set that are of this project.
func run(t *testing.T, files []*descriptorpb.FileDescriptorProto) (map[string]string, error) {
	t.Helper()
	request := &pluginpb.CodeGeneratorRequest{ProtoFile: files, Parameter: proto.String("paths=source_relative")}
	for _, f := range files {
		if strings.HasPrefix(f.GetPackage(), "patchbay.") {
			request.FileToGenerate = append(request.FileToGenerate, f.GetName())
		}
	}
	p, err := protogen.Options{}.New(request)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Files {
		if f.Generate {
			if err := generate(p, f); err != nil {
				return nil, err
			}
		}
	}
	out := map[string]string{}
	for _, f := range p.Response().GetFile() {
		out[f.GetName()] = f.GetContent()
	}
	return out, nil
}

func contracts(t *testing.T) []*descriptorpb.FileDescriptorProto {
	t.Helper()
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(api.Descriptors, &set); err != nil {
		t.Fatal(err)
	}
	return set.GetFile()
}

// What is committed is what the generator makes, comments apart, of which
// descriptors know nothing.
func TestCommittedCode(t *testing.T) {
	t.Parallel()
	files, err := run(t, contracts(t))
	if err != nil || len(files) < 8 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	for name, content := range files {
		committed, err := os.ReadFile(filepath.Join("..", "..", "api", name))
		if err != nil {
			t.Error(err)
		}
		if !slices.Equal(tokens([]byte(content)), tokens(committed)) {
			t.Errorf("%s: differs from what the generator makes: run \"make generate\"", name)
		}
	}
}

// tokens are those of a Go file without its comments.
func tokens(source []byte) (all []string) {
	var s scanner.Scanner
	set := token.NewFileSet()
	s.Init(set.AddFile("", set.Base(), len(source)), source, nil, 0)
	for {
		_, tok, literal := s.Scan()
		if tok == token.EOF {
			return all
		}
		all = append(all, tok.String()+" "+strings.TrimSpace(literal))
	}
}

// A kind of field that the generator does not know is refused, not left out.
func TestRefuses(t *testing.T) {
	t.Parallel()
	const one, many = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL, descriptorpb.FieldDescriptorProto_LABEL_REPEATED
	for name, f := range map[string]struct {
		label descriptorpb.FieldDescriptorProto_Label
		kind  descriptorpb.FieldDescriptorProto_Type
	}{
		"sint32":          {one, descriptorpb.FieldDescriptorProto_TYPE_SINT32},
		"double":          {one, descriptorpb.FieldDescriptorProto_TYPE_DOUBLE},
		"fixed64":         {one, descriptorpb.FieldDescriptorProto_TYPE_FIXED64},
		"repeated uint32": {many, descriptorpb.FieldDescriptorProto_TYPE_UINT32},
		"repeated bytes":  {many, descriptorpb.FieldDescriptorProto_TYPE_BYTES},
	} {
		_, err := run(t, []*descriptorpb.FileDescriptorProto{{
			Name: proto.String("a.proto"), Package: proto.String("patchbay.a"), Syntax: proto.String("proto3"),
			Options: &descriptorpb.FileOptions{GoPackage: proto.String("a.example/a")},
			MessageType: []*descriptorpb.DescriptorProto{{
				Name:  proto.String("M"),
				Field: []*descriptorpb.FieldDescriptorProto{{Name: proto.String("f"), Number: proto.Int32(1), Label: f.label.Enum(), Type: f.kind.Enum()}},
			}},
		}})
		if err == nil || !strings.Contains(err.Error(), "patchbay.a.M.f: "+name) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}
