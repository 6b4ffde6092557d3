package reactor

import "errors"

func newEpoll(*Loop, bool) (engine, error) { return nil, errors.New("epoll is Linux's") }
