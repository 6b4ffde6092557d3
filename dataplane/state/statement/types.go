package statement

import "bytes"

// parameters are the types of a statement's parameters, as a server has said them first.
type parameters struct {
	types []byte // number and OIDs, as in a Parse message
	open  bool   // the text was parsed without saying them all
}

// Learn notes the types of the parameters, number and OIDs, as ParameterDescription has them: PostgreSQL keeps those of the first parse
// analysis for as long as the statement lives, whatever becomes of the tables. It says whether they are those that are known. Any thread
// may call it.
func (st *Statement) Learn(types []byte) (same bool) {
	if st.parameters.Load() == nil {
		st.parameters.CompareAndSwap(nil, &parameters{bytes.Clone(types), string(WithTypes([]byte(st.Body), types)) != st.Body})
	}
	return bytes.Equal(st.parameters.Load().types, types)
}

// Types returns what Learn has noted; nil: nothing yet.
func (st *Statement) Types() []byte {
	if p := st.parameters.Load(); p != nil {
		return p.types
	}
	return nil
}

// Infers says that a server would have to infer again what is known of the types of the parameters.
func (st *Statement) Infers() bool {
	p := st.parameters.Load()
	return p != nil && p.open
}

// Typed returns the body with the types of the parameters, as far as they are known.
func (st *Statement) Typed() []byte {
	if types := st.Types(); types != nil {
		return WithTypes([]byte(st.Body), types)
	}
	return []byte(st.Body)
}

// WithTypes returns the body of a Parse, behind the name, with other types.
func WithTypes(body, types []byte) []byte {
	text := body[:bytes.IndexByte(body, 0)+1]
	return append(text[:len(text):len(text)], types...)
}
