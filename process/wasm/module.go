package wasm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// The interface between Clew and a module; docs/processors.md describes it. A later one gets another number, and other exports.
const (
	abiPrefix  = "clew_abi_"
	abiVersion = abiPrefix + "1"
	allocName  = "clew_alloc"
	initName   = "clew_init"
	runName    = "clew_process"
	hostName   = "clew"
	wasiName   = wasi_snapshot_preview1.ModuleName

	resultSame   = 0          // of clew_process: the spans stay as they are
	resultFailed = ^uint64(0) // of clew_process: these spans cannot be processed
	pageBytes    = 1 << 16    // of WebAssembly's memory
	fileBytes    = 64 << 20   // a module's largest file
)

// loaded is a module that was compiled and found fit.
type loaded struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

// load reads and compiles a module, and checks what it exports and imports. What it says goes to log.
func load(ctx context.Context, c *Config, log *moduleLog) (_ *loaded, err error) {
	st, err := os.Stat(c.File)
	if err != nil {
		return nil, err
	}
	if st.Size() > fileBytes {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are taken", c.File, st.Size(), fileBytes)
	}
	raw, err := os.ReadFile(c.File)
	if err != nil {
		return nil, err
	}
	if raw, err = harden(raw); err != nil {
		return nil, fmt.Errorf("%s %w", c.File, err)
	}
	l := &loaded{runtime: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithDebugInfoEnabled(false))}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if err := l.host(ctx, log); err != nil {
		return nil, err
	}
	if l.compiled, err = l.runtime.CompileModule(experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0)), raw); err != nil {
		return nil, fmt.Errorf("%s is not a valid WebAssembly module: %w", c.File, err)
	}
	if err := l.check(c); err != nil {
		return nil, fmt.Errorf("%s %w", c.File, err)
	}
	return l, nil
}

func (l *loaded) close() { _ = l.runtime.Close(context.Background()) }

// host gives the runtime what modules may import: WASI, in which there are no files, sockets, arguments or variables, time stands nearly
// still and chance is the same each time; and clew.log.
func (l *loaded) host(ctx context.Context, log *moduleLog) error {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, l.runtime); err != nil {
		return err
	}
	say := func(_ context.Context, m api.Module, level, at, size uint32) {
		if text, ok := m.Memory().Read(at, min(size, lineBytes)); ok {
			log.line(logLevel(level), text)
		}
	}
	_, err := l.runtime.NewHostModuleBuilder(hostName).NewFunctionBuilder().WithFunc(say).Export("log").Instantiate(ctx)
	return err
}

// logLevel is the level of a module's 0 (debug), 1 (info), 2 (warning), 3 (error).
func logLevel(n uint32) slog.Level {
	return [...]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}[min(n, 3)]
}

// check says what keeps the module from being a processor.
func (l *loaded) check(c *Config) error {
	exports := l.compiled.ExportedFunctions()
	if exports[abiVersion] == nil {
		for name := range exports {
			if other, ok := strings.CutPrefix(name, abiPrefix); ok {
				return fmt.Errorf("is made for version %s of the interface of processors; this Clew has version %s: build it with that SDK",
					other, strings.TrimPrefix(abiVersion, abiPrefix))
			}
		}
		if exports["_start"] != nil {
			return errors.New("is a program, and should be a library that exports " + abiVersion + ": build Go with -buildmode=c-shared, Rust as a cdylib")
		}
		return errors.New("does not export " + abiVersion + ": it is not made with an SDK for processors")
	}
	i32, i64 := []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI64}
	for name, want := range map[string][2][]api.ValueType{allocName: {i32, i32}, runName: {i32, i64}, initName: {i32, i32}} {
		f := exports[name]
		switch {
		case f == nil && name == initName && c.Config == "":
		case f == nil && name == initName:
			return errors.New("does not export " + initName + ": it takes no configuration")
		case f == nil:
			return errors.New("does not export " + name)
		case !slices.Equal(f.ParamTypes(), want[0]) || !slices.Equal(f.ResultTypes(), want[1]):
			return fmt.Errorf("exports %s with other parameters or results than it has in version %s", name, strings.TrimPrefix(abiVersion, abiPrefix))
		}
	}
	if err := l.checkImports(); err != nil {
		return err
	}
	m := l.compiled.ExportedMemories()["memory"]
	if m == nil {
		return errors.New("does not export its memory")
	}
	if least := int64(m.Min()) * pageBytes; least > c.Memory {
		return fmt.Errorf("needs %d bytes of memory to begin with; memory_bytes is %d", least, c.Memory)
	}
	return nil
}

// checkImports says what a module wants that it cannot have.
func (l *loaded) checkImports() error {
	for _, f := range l.compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		host := l.runtime.Module(module)
		if (module != wasiName && module != hostName) || host.ExportedFunctionDefinitions()[name] == nil {
			return fmt.Errorf("imports the function %s of %s, which it may not have: there is %s.log, and %s", name, module, hostName, wasiName)
		}
	}
	return nil
}

// start makes an instance and hands it its configuration.
func (l *loaded) start(ctx context.Context, c *Config, log *moduleLog) (*instance, error) {
	memory, err := newMemory(c.Memory)
	if err != nil {
		return nil, &failure{notStarted, err}
	}
	memory.deadline = time.Now().Add(c.start)
	in := &instance{memory: memory}
	ctx = experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(uint64, uint64) experimental.LinearMemory { return memory }))
	mod, err := l.runtime.InstantiateModule(ctx, l.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize").
		WithStdout(&lines{to: log, level: slog.LevelInfo}).WithStderr(&lines{to: log, level: slog.LevelError}))
	if err != nil {
		memory.Free()
		return nil, in.failed(err, c.start)
	}
	in.mod, in.alloc, in.process = mod, mod.ExportedFunction(allocName), mod.ExportedFunction(runName)
	if err := in.configure(ctx, c, log); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// configure calls clew_init, if there is one.
func (in *instance) configure(ctx context.Context, c *Config, log *moduleLog) error {
	fn := in.mod.ExportedFunction(initName)
	if fn == nil {
		return nil
	}
	if err := in.put(ctx, []byte(c.Config), c.start); err != nil {
		return err
	}
	result, err := in.call(ctx, fn, uint64(len(c.Config)), c.start)
	if err != nil {
		return err
	}
	if uint32(result) != 0 {
		why := log.lastError()
		if why == "" {
			why = "it does not say why"
		}
		return &failure{refused, fmt.Errorf("does not take its configuration: %s", why)}
	}
	return nil
}

func (in *instance) close() {
	_ = in.mod.Close(context.Background())
	in.memory.Free()
}
