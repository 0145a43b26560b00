/tmp/c/wasm/examples/processors/rust/target/wasm32-unknown-unknown/release/normalise_sql.wasm: /tmp/c/wasm/examples/processors/rust/src/clew.rs /tmp/c/wasm/examples/processors/rust/src/lib.rs
