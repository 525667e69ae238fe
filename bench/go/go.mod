module bench/relay

go 1.19
