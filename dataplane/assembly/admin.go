package assembly

type admin struct{}

func (p *Proxy) startAdmin() (*admin, error) { return &admin{}, nil }
func (a *admin) close() error                { return nil }
