/tmp/c/wasm/examples/processors/rust/target/wasm32-unknown-unknown/release/deps/normalise_sql.wasm: src/lib.rs src/clew.rs

/tmp/c/wasm/examples/processors/rust/target/wasm32-unknown-unknown/release/deps/normalise_sql.d: src/lib.rs src/clew.rs

src/lib.rs:
src/clew.rs:
