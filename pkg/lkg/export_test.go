package lkg

// Fault breaks what a directory writes: each write, sync and rename asks it first, with what is about to
// happen.
type Fault func(step string) error

// Break makes the directory's writes fail as fault says.
func (d *Dir) Break(fault Fault) {
	d.create = func(path string) (file, error) {
		if err := fault("create"); err != nil {
			return nil, err
		}
		f, err := create(path)
		return broken{f, fault}, err
	}
	rename := d.rename
	d.rename = func(from, to string) error {
		if err := fault("rename"); err != nil {
			return err
		}
		return rename(from, to)
	}
}

type broken struct {
	file
	fault Fault
}

// Write writes half of what it is given where it fails, as a disk does that becomes full.
func (b broken) Write(p []byte) (int, error) {
	if err := b.fault("write"); err != nil {
		n, _ := b.file.Write(p[:len(p)/2])
		return n, err
	}
	return b.file.Write(p)
}

func (b broken) Sync() error {
	if err := b.fault("sync"); err != nil {
		return err
	}
	return b.file.Sync()
}

// Encode and Decode are the format.
func Encode(e Entry) ([]byte, error) { return encode(e) }
func Decode(b []byte) (Entry, error) { return decode(b) }

// Sealed makes a file with any payload, whose hash is right.
func Sealed(e Entry, payload []byte) []byte { return seal(e, payload) }
