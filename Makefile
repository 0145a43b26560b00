# Everything is in build/, in Go; make only forwards. `make help` lists the tasks.
.PHONY: help run build ui test lint e2e bench fuzz
help run build ui test lint e2e bench fuzz:
	@go run ./build $@ $(ARGS)
