//! Parses arguments, starts logging, calls the library, maps errors to an exit code: 0 done, 1 failed,
//! 2 misuse.

use std::process::ExitCode;

fn main() -> ExitCode {
    momedo::cli::main()
}
