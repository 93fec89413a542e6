use std::process::ExitCode;

/// Batches are made of buffers above 128 KB, which glibc's malloc maps and unmaps each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sluicebox::cli::main()
}
