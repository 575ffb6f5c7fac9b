package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
)

// message makes a struct and its methods.
func (g *file) message(m *protogen.Message) error {
	for _, e := range m.Enums {
		g.enum(e)
	}
	for _, inner := range m.Messages {
		if inner.Desc.IsMapEntry() {
			continue
		}
		if err := g.message(inner); err != nil {
			return err
		}
	}
	var fields []*field
	for _, f := range m.Fields {
		known, err := g.field(f)
		if err != nil {
			return err
		}
		fields = append(fields, known)
	}
	g.declare(m, fields)
	g.P("// MessageName implements message.Message.")
	g.P("func (*", m.GoIdent, ") MessageName() string { return ", fmt.Sprintf("%q", m.Desc.FullName()), " }")
	g.P()
	g.P("// Reset implements message.Message.")
	g.P("func (x *", m.GoIdent, ") Reset() { *x = ", m.GoIdent, "{} }")
	g.P()
	for _, f := range fields {
		g.getter(m, f)
	}
	for _, o := range m.Oneofs {
		g.oneof(m, o)
	}
	g.encode(m, fields)
	g.decode(m, fields)
	return nil
}

// declare makes the struct.
func (g *file) declare(m *protogen.Message, fields []*field) {
	g.P(m.Comments.Leading, "type ", m.GoIdent, " struct {")
	for _, f := range fields {
		switch o := f.oneof(); {
		case o == nil:
			g.P(f.Comments.Leading, f.GoName, " ", f.goType, trailing(f.Comments))
		case o.Fields[0] == f.Field:
			g.P(o.Comments.Leading, "// One of the types of ", choice(o), ".")
			g.P(o.GoName, " ", choice(o))
		}
	}
	if parted(m) {
		g.P()
		g.P(g.runtime("Fields"))
	}
	g.P("}")
	g.P()
}

// parted reports whether the message may be made of parts that are encoded already: it has lists of messages, or
// is an answer with a message, which may have some.
func parted(m *protogen.Message) bool {
	answer := strings.HasSuffix(string(m.Desc.Name()), "Response")
	return slices.ContainsFunc(m.Fields, func(f *protogen.Field) bool {
		return f.Message != nil && !f.Desc.IsMap() && f.Oneof == nil && (f.Desc.IsList() || answer)
	})
}

func (g *file) getter(m *protogen.Message, f *field) {
	g.P("func (x *", m.GoIdent, ") Get", f.GoName, "() (v ", f.valueType, ") {")
	switch o := f.oneof(); {
	case o != nil:
		g.P("if o, ok := x.Get", o.GoName, "().(*", f.GoIdent, "); ok {")
		g.P("v = o.", f.GoName)
	case f.optional:
		g.P("if x != nil && x.", f.GoName, " != nil {")
		g.P("v = *x.", f.GoName)
	default:
		g.P("if x != nil {")
		g.P("v = x.", f.GoName)
	}
	g.P("}")
	g.P("return v")
	g.P("}")
	g.P()
}

// choice is the interface of what a oneof may be.
func choice(o *protogen.Oneof) string { return "is" + o.GoIdent.GoName }

// oneof makes the types of what a oneof may be.
func (g *file) oneof(m *protogen.Message, o *protogen.Oneof) {
	if o.Desc.IsSynthetic() {
		return
	}
	g.P("type ", choice(o), " interface{ ", choice(o), "() }")
	g.P()
	for _, f := range o.Fields {
		known, _ := g.field(f) // which the message has seen
		g.P("// ", f.GoIdent, " is a choice of ", m.GoIdent, ".")
		g.P("type ", f.GoIdent, " struct{ ", f.GoName, " ", known.valueType, " }")
		g.P()
		g.P("func (*", f.GoIdent, ") ", choice(o), "() {}")
		g.P()
	}
	g.P("// Get", o.GoName, " returns the choice, nil for none.")
	g.P("func (x *", m.GoIdent, ") Get", o.GoName, "() (v ", choice(o), ") {")
	g.P("if x != nil {")
	g.P("v = x.", o.GoName)
	g.P("}")
	g.P("return v")
	g.P("}")
	g.P()
}

func (g *file) encode(m *protogen.Message, fields []*field) {
	g.P("// Encode implements message.Message.")
	g.P("func (x *", m.GoIdent, ") Encode(e *", g.runtime("Encoder"), ") {")
	if len(fields) > 0 {
		g.P("if x == nil {")
		g.P("return")
		g.P("}")
	}
	for _, f := range fields {
		switch o := f.oneof(); {
		case o != nil:
			g.P("if o, ok := x.", o.GoName, ".(*", f.GoIdent, "); ok {")
			g.P(f.write("o." + f.GoName))
			g.P("}")
		case f.optional:
			g.P("if x.", f.GoName, " != nil {")
			g.P(f.write("*x." + f.GoName))
			g.P("}")
		case f.present != "":
			g.P("if ", fmt.Sprintf(f.present, "x."+f.GoName), " {")
			g.P(f.write("x." + f.GoName))
			g.P("}")
		default:
			g.P(f.write("x." + f.GoName))
		}
	}
	if parted(m) {
		g.P("e.Fields(x.Fields)")
	}
	g.P("}")
	g.P()
}

func (g *file) decode(m *protogen.Message, fields []*field) {
	g.P("// Decode implements message.Message.")
	g.P("func (x *", m.GoIdent, ") Decode(d *", g.runtime("Decoder"), ") {")
	g.P("for d.Next() {")
	if len(fields) == 0 {
		g.P("d.Skip()")
	} else {
		g.P("switch d.Field() {")
		for _, f := range fields {
			g.P("case ", f.Desc.Number(), ":")
			g.read(f)
		}
		g.P("default:")
		g.P("d.Skip()")
		g.P("}")
	}
	g.P("}")
	g.P("}")
	g.P()
}

// read reads a field.
func (g *file) read(f *field) {
	o := f.oneof()
	if o == nil && !f.optional {
		g.P(fmt.Sprintf(f.reading, "&x."+f.GoName))
		return
	}
	g.P("var v ", f.valueType)
	g.P("if ", fmt.Sprintf(f.reading, "&v"), " {")
	if o != nil {
		g.P("x.", o.GoName, " = &", f.GoIdent, "{v}")
	} else {
		g.P("x.", f.GoName, " = &v")
	}
	g.P("}")
}
