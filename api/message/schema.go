package message

// Schema is what the generated code of services looks up descriptors of methods in
// (connect.Spec.Schema). It has none: nothing here asks for them.
type Schema struct{}

// Services returns s.
func (s Schema) Services() Schema { return s }

// Methods returns s.
func (s Schema) Methods() Schema { return s }

// ByName returns s.
func (s Schema) ByName(string) Schema { return s }
